#include "stream/click_batch.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/bytes.h"
#include "click/packing.h"
#include "click/record_layout.h"

namespace clickmill::stream {
namespace {

using click::RecordLayout;

bool is_capital(unsigned letter) { return letter >= 'A' && letter <= 'Z'; }

Hash128 identity_of_record(const RecordLayout& record, uint64_t seed) {
  if (!click::click_id_is_packed(record.shape)) {
    return identity_of(record.ad_id, record.click_id, seed);
  }
  std::array<char, click::kUuidChars> uuid;
  click::unpack_uuid(record.click_id.data(), uuid.data());
  return identity_of(record.ad_id, {uuid.data(), uuid.size()}, seed);
}

click::Visitor visitor_of_record(const RecordLayout& record, uint64_t seed) {
  click::ClickView view;
  view.user_id = record.user_id;
  view.user_agent = record.user_agent;
  view.ip = record.ip;
  std::array<char, click::kIpCharsMax> address;
  const click::IpForm form = click::ip_form(record.shape);
  // Spelling the address out takes long and is needed for clicks without a user_id only.
  if (view.user_id.empty() && form != click::IpForm::text) {
    view.ip = {address.data(), click::unpack_ip(form, record.ip.data(), address.data())};
  }
  return click::visitor_of(view, seed);
}

// An import's entries have thousands of clicks, and each partition has a batch.
constexpr size_t kClicksKept = 256;

}  // namespace

Hash128 identity_of(std::string_view ad_id, std::string_view click_id, uint64_t seed) {
  char text[160];
  if (ad_id.size() + click_id.size() + 1 > sizeof(text)) {
    // No click of ours is so long; a foreign record still gets a sound identity.
    return xxh128_of(std::string(ad_id) + '\0' + std::string(click_id), seed);
  }
  std::copy(ad_id.begin(), ad_id.end(), text);
  text[ad_id.size()] = '\0';
  std::copy(click_id.begin(), click_id.end(), text + ad_id.size() + 1);
  return xxh128_of({text, ad_id.size() + 1 + click_id.size()}, seed);
}

Status ClickBatch::decode(const log::Entry& entry, uint64_t seed) {
  ByteCursor cursor(entry.payload);
  header_ = TRY(click::decode_batch_header(cursor));
  clicks_.resize(entry.count);
  identities_.resize(entry.count);
  for (size_t i = 0; i < entry.count; ++i) {
    const std::string_view before = cursor.rest();
    const RecordLayout record = click::read_layout(cursor);
    if (!cursor.ok() || !is_capital(record.country >> 8U) || !is_capital(record.country & 0xffU)) {
      return Error(Errc::corrupt, "click " + std::to_string(i) + " of its batch is malformed");
    }
    Click& click = clicks_[i];
    click.record = before.substr(0, before.size() - cursor.rest().size());
    click.received_ms = ArrivalMs(record.received_ms);
    click.flags = record.flags;
    click.counting.timestamp_ms = EventMs(record.timestamp_ms);
    click.counting.ad_id = record.ad_id;
    click.counting.advertiser_id = record.advertiser_id;
    click.counting.ad_hash = MinuteRows::hash_of(record.ad_id);
    click.counting.device = static_cast<click::Device>(record.shape & click::kShapeDeviceBits);
    click.counting.country = record.country;
    click.counting.automated = (record.flags & click::kAutomated) != 0;
    click.counting.visitor = visitor_of_record(record, seed);
    identities_[i] = {identity_of_record(record, seed), click.received_ms};
  }
  if (!cursor.done()) {
    return Error(Errc::corrupt, "batch doesn't hold " + std::to_string(entry.count) + " clicks");
  }
  return {};
}

void ClickBatch::done() {
  if (clicks_.capacity() > kClicksKept) std::vector<Click>().swap(clicks_);
  if (identities_.capacity() > kClicksKept) std::vector<dedup::Identity>().swap(identities_);
}

}  // namespace clickmill::stream
