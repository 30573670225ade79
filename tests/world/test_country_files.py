"""Real country databases of npm's @ip-location-db, of both shapes of records, behind collector.country_db."""

import json

import world
from harness import check, check_equal, wait_until

AD = {"ad_id": "ad_1", "advertiser_id": "adv_1", "ad_format": "banner", "redirect_url": "https://shop.example.com/"}
# Whom nobody moves: a public resolver, national broadcasters, and what no file is to be asked about.
WANTED = {"8.8.8.8": "US", "212.58.244.20": "GB", "193.99.144.80": "DE", "2001:4860:4860::8888": "US", "::ffff:8.8.8.8": "US",
          "2002:808:808::1": "US", "64:ff9b::8.8.8.8": "US", "172.16.0.1": "ZZ", "192.168.1.1": "ZZ", "203.0.113.7": "ZZ",
          "2001:db8::1": "ZZ", "127.0.0.1": "ZZ"}
PACKAGES = ("geolite2-country-mmdb", "geo-whois-asn-country-mmdb", "iptoasn-country-mmdb")


def check_of(package):
    def test(context):
        folder = world.npm(f"@ip-location-db/{package}") / "node_modules" / "@ip-location-db" / package
        files = sorted(folder.glob("*.mmdb"))
        check(files, f"{folder} holds no database")
        for file in files:
            v4, v6 = "ipv6" not in file.name, "ipv4" not in file.name
            node = context.node({"log": {"partitions": 1}, "collector": {"trusted_proxies": ["127.0.0.1"],
                                                                         "country_db": str(file)}})
            node.upload_ads([AD])
            asked = {ip: country for ip, country in WANTED.items()
                     if country == "ZZ" or (v6 if ip.startswith("2001:4860") else v4)}
            for ip in asked:
                node.request("GET", f"/v1/click?ad_id=ad_1&click_id={ip.replace(':', '_')}",
                             headers={"X-Forwarded-For": ip}, listener="collector")

            def recorded():
                lines = node.get("/v1/log/raw-clicks/0?limit=1000").body.splitlines()
                return {click["click_id"].replace("_", ":"): click["country"] for click in map(json.loads, lines)}

            wait_until("the clicks", lambda: len(recorded()) == len(asked))
            check_equal(file.name, recorded(), asked)
            (said,) = [line for line in node.log_since_start().splitlines() if " countries from " in line]
            context.say(said.split("countries: ", 1)[1].split(" from ")[0] + f" ({file.name})")
            node.stop()
    test.__doc__ = f"{package}: addresses of known countries are told, private and reserved ones are not"
    test.__name__ = "test_" + package.replace("-", "_")
    return test


for _package in PACKAGES:
    _test = check_of(_package)
    globals()[_test.__name__] = _test
