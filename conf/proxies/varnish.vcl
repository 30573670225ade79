# Two clickmill nodes behind Varnish 7.1. With these lines in the nodes' configs:
#   "collector": {"trusted_proxies": ["<this machine>"], "click_id_header": "X-Request-ID"}
vcl 4.1;

import directors;
import std;

probe ready {
	.url = "/readyz";
	.interval = 0.3s;
	.timeout = 2s;
	.window = 1;
	.threshold = 1;
	.initial = 1;
}

backend n1 {
	.host = "10.0.0.11";
	.port = "8080";
	.connect_timeout = 1s;
	.first_byte_timeout = 10s;
	.probe = ready;
}

backend n2 {
	.host = "10.0.0.12";
	.port = "8080";
	.connect_timeout = 1s;
	.first_byte_timeout = 10s;
	.probe = ready;
}

sub vcl_init {
	new nodes = directors.round_robin();
	nodes.add_backend(n1);
	nodes.add_backend(n2);
}

sub vcl_recv {
	if (req.url !~ "^/v1/click(\?|$)") {
		return (synth(404));
	}
	if (req.restarts == 0) {
		# The same at each try, so that a link that is sent twice counts once. The xid alone
		# begins anew with each start of Varnish.
		set req.http.X-Request-ID = server.identity + "-" + std.time2integer(now, 0) + "-" + req.xid;
	}
	# So that a POST can be sent again; it carries its own click_id.
	if (!std.cache_req_body(64KB)) {
		return (synth(413));
	}
	# A cache would turn HEAD into GET and answer clicks that nobody counts.
	return (pass);
}

sub vcl_backend_fetch {
	set bereq.backend = nodes.backend();
}

sub vcl_backend_error {
	return (retry);
}
