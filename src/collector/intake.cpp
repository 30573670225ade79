#include "collector/intake.h"

#include "base/random.h"
#include "base/text.h"

namespace clickmill::collector {
namespace {

std::string_view cut(std::string_view header) { return cut_utf8(header, click::kHeaderBytesKept); }

}  // namespace

Intake::Intake(Spool& spool, catalog::Catalog& catalog, catalog::Lookup* lookup, Options options,
               Metrics& metrics)
    : spool_(spool),
      catalog_(catalog),
      lookup_(lookup),
      options_(std::move(options)),
      proxies_(options_.proxies, metrics),
      automated_(metrics.counter("clickmill_collector_automated_total",
                                 "Clicks taken in that a machine made, by what it says of itself; "
                                 "copies included.")) {}

Intake::Connection Intake::connection_of(const http::Request& request) const {
  Connection connection;
  connection.user_agent = cut(request.header("User-Agent"));
  connection.referrer = cut(request.header("Referer"));
  connection.hints = {request.header("Sec-CH-UA-Mobile"), request.header("Sec-CH-UA-Form-Factors"),
                      request.header("Sec-CH-UA")};
  auto told = proxies_.read(request);
  connection.ip = std::move(told.ip);
  connection.country = told.country;
  connection.click_id = told.click_id;
  return connection;
}

Intake::Target Intake::target_of(std::shared_ptr<const catalog::Ad> ad, bool ad_pending) const {
  Target target;
  target.url = ad != nullptr ? ad->redirect_url : options_.default_redirect;
  target.ad = std::move(ad);
  target.ad_pending = ad_pending;
  return target;
}

std::optional<Intake::Target> Intake::known_target(std::string_view ad_id) const {
  if (lookup_ != nullptr) {
    auto finding = lookup_->known(ad_id);
    if (!finding) return std::nullopt;
    return target_of(std::move(finding->ad), false);
  }
  auto snapshot = catalog_.snapshot();
  const catalog::Ad* const ad = snapshot->find(ad_id);
  // The pointer to the ad keeps the whole snapshot alive.
  return target_of(std::shared_ptr<const catalog::Ad>(std::move(snapshot), ad), false);
}

void Intake::ask_target(std::string_view ad_id, std::function<void(const Target&)> done) const {
  lookup_->look_up(ad_id, [this, done = std::move(done)](catalog::Finding finding) {
    const bool ad_pending = finding.kind == catalog::Finding::Kind::unavailable;
    done(target_of(std::move(finding.ad), ad_pending));
  });
}

click::Country Intake::country_of(const click::ParsedClick& click, const Connection& connection,
                                  std::string_view ip) const {
  if (click.country) return *click.country;
  if (connection.country) return *connection.country;
  const auto found = options_.countries ? options_.countries->find(ip) : std::nullopt;
  return found.value_or(click::kUnknownCountry);
}

Status Intake::spool(const click::ParsedClick& parsed, const Connection& connection,
                     const Target& target, uint8_t flags, log::Lane lane,
                     std::shared_ptr<ClickAnswer> answer) {
  const auto given = [](const std::optional<std::string>& field, std::string_view otherwise) {
    return field ? std::string_view(*field) : otherwise;
  };
  const bool has_id = parsed.click_id || !connection.click_id.empty();
  const std::string generated = has_id ? std::string() : random_uuid();
  click::ClickView click;
  click.click_id = given(parsed.click_id, has_id ? connection.click_id : generated);
  click.ad_id = parsed.ad_id;
  click.flags = flags;
  if (!parsed.click_id) click.flags |= click::kIdMade;
  if (target.ad != nullptr) {
    click.advertiser_id = target.ad->advertiser_id;
    click.ad_format = target.ad->ad_format;
  } else {
    click.flags |= target.ad_pending ? click::kAdPending : click::kUnknownAd;
  }
  click.timestamp_ms = EventMs(parsed.timestamp_ms.value_or(0));
  click.user_id = parsed.user_id;
  click.ip = given(parsed.ip, connection.ip);
  click.country = country_of(parsed, connection, click.ip);
  click.user_agent = given(parsed.user_agent, connection.user_agent);
  click.referrer = given(parsed.referrer, connection.referrer);
  // A line's own agent says nothing of the connection that brought it.
  const click::DeviceHints hints = parsed.user_agent ? click::DeviceHints() : connection.hints;
  // Here and nowhere else: what is in the log is never judged again, so that a replay gives
  // the same counts whatever robots are known by then.
  const click::AgentTells tells = click::read_agent(click.user_agent, hints);
  click.device = parsed.device.value_or(tells.device);
  const bool automated = parsed.automated.value_or(tells.automated);
  if (automated) click.flags |= click::kAutomated;
  std::string record;  // no larger than it must be: many of them may wait in the spool
  click::encode_record(click, record);
  const PartitionId partition = click::partition_of(click.ad_id, options_.partitions);
  TRY(spool_.append(partition, std::move(record), !parsed.timestamp_ms, lane, std::move(answer)));
  if (automated) automated_.add();
  return {};
}

}  // namespace clickmill::collector
