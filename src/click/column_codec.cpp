// A block of log entries, column by column. Little-endian; "numbers" and "texts"
// are columns (number_column.cpp, text_column.cpp), "bytes" a varint length and
// bytes, svarint a zigzag varint. All differences are modulo 2^64.
//
//   u8       version, 1; a reader refuses any other
//   varint   number of senders, then bytes each: node_ids of batches
//   varint   number of entries, then for each:
//     svarint  first, less the offset after the entry before (0 before any)
//     varint   count
//     u8       kind
//     svarint  term, less the term before (0)
//     svarint  append_ms, less the append_ms before (0)
//     u8       form: 0 the payload as it is, 1 in columns
//     form 0: varint length of the payload
//     form 1: varint sender, u8 again, svarint low_water less append_ms;
//             its `count` records are the next ones in the columns
//   varint   bytes of all payloads in columns
//   columns over the records of all entries of form 1, in order:
//     numbers  flags
//     numbers  zigzag of received_ms less the record's before (the entry's
//              append_ms for its first)
//     numbers  zigzag of received_ms less timestamp_ms
//     numbers  shape without the device
//     texts    country, two bytes
//     16 each  click_id, packed ones; texts: the others
//     varint   number of ads; texts ad_id, texts advertiser_id, texts ad_format of
//              each; numbers: the ad of each record
//     varint   number of agents; texts user_agent, numbers device of each;
//              numbers: the agent of each record
//     texts    user_id
//     texts    ip: IPv4 ones, 4 bytes; texts: IPv6 ones, 16; texts: the others
//     texts    referrer
//   payloads of form 0, one after the other
//
// A clicks payload goes into columns only when writing its records again gives the
// same bytes; else, and when the records are too many or too long for a reader to
// trust the sizes in a block, it is stored as it is.

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <unordered_map>

#include "click/batch.h"
#include "click/column.h"
#include "click/record_layout.h"

namespace clickmill::click {
namespace {

using log::Entry;

constexpr uint8_t kVersion = 1;
// A damaged block must not make a reader take much memory. Blocks hold about
// 4,096 records.
constexpr size_t kRecordsMax = 1 << 16;
constexpr size_t kPayloadBytesMax = size_t{32} << 20;
constexpr size_t kRecordBytesMin = kRecordFixedBytes + 8;

enum class PayloadForm : uint8_t { as_it_is = 0, columns = 1 };

/// A clicks entry taken apart.
struct Batch {
  BatchHeader header;
  std::vector<RecordLayout> records;
};

/// Nothing when the payload can't come back exactly from its parts.
std::optional<Batch> take_apart(const Entry& entry) {
  if (entry.kind != static_cast<uint8_t>(EntryKind::clicks)) return std::nullopt;
  if (entry.count > entry.payload.size() / kRecordBytesMin) return std::nullopt;
  ByteCursor cursor(entry.payload);
  const auto header = decode_batch_header(cursor);
  if (!header) return std::nullopt;
  Batch batch;
  batch.header = *header;
  batch.records.reserve(entry.count);
  for (uint32_t i = 0; i < entry.count && cursor.ok(); ++i) {
    batch.records.push_back(read_layout(cursor));
  }
  if (!cursor.done()) return std::nullopt;
  std::string again;
  again.reserve(entry.payload.size());
  encode_batch_header(batch.header, again);
  for (const auto& record : batch.records) append_layout(record, again);
  if (again != entry.payload) return std::nullopt;
  return batch;
}

uint64_t as_u64(int64_t value) { return static_cast<uint64_t>(value); }
int64_t as_i64(uint64_t value) { return static_cast<int64_t>(value); }

class BlockWriter {
 public:
  explicit BlockWriter(std::span<const Entry> entries) : entries_(entries) {
    for (const auto& entry : entries) take(entry);
  }

  std::string write() {
    std::string out(1, static_cast<char>(kVersion));
    ByteWriter writer(out);
    writer.varint(senders_.size());
    for (const auto sender : senders_) writer.bytes(sender);
    writer.varint(entries_.size());
    write_headers(writer);
    writer.varint(payload_bytes_);
    write_times(out);
    write_shapes(out);
    write_click_ids(out);
    write_ads(out);
    write_agents(out);
    write_texts(out, [](const RecordLayout& record) { return record.user_id; });
    for (const IpForm form : {IpForm::v4, IpForm::v6, IpForm::text}) write_ips(out, form);
    write_texts(out, [](const RecordLayout& record) { return record.referrer; });
    for (size_t i = 0; i < entries_.size(); ++i) {
      if (!batches_[i]) out += entries_[i].payload;
    }
    return out;
  }

 private:
  struct Taken {
    BatchHeader header;
    uint64_t sender;
  };

  void take(const Entry& entry) {
    auto batch = take_apart(entry);
    if (!batch || records_.size() + batch->records.size() > kRecordsMax ||
        payload_bytes_ + entry.payload.size() > kPayloadBytesMax) {
      batches_.emplace_back();
      return;
    }
    payload_bytes_ += entry.payload.size();
    const auto [at, added] = sender_numbers_.try_emplace(batch->header.sender, senders_.size());
    if (added) senders_.push_back(batch->header.sender);
    batches_.push_back(Taken{batch->header, at->second});
    uint64_t before = as_u64(entry.append_ms.value());
    for (const auto& record : batch->records) {
      received_steps_.push_back(zigzag(as_u64(record.received_ms) - before));
      before = as_u64(record.received_ms);
    }
    records_.insert(records_.end(), batch->records.begin(), batch->records.end());
  }

  void write_headers(ByteWriter& writer) const {
    uint64_t first = 0;
    uint64_t term = 0;
    uint64_t append_ms = 0;
    for (size_t i = 0; i < entries_.size(); ++i) {
      const Entry& entry = entries_[i];
      writer.svarint(as_i64(entry.first.value() - first));
      writer.varint(entry.count);
      writer.u8(entry.kind);
      writer.svarint(as_i64(entry.term.value() - term));
      writer.svarint(as_i64(as_u64(entry.append_ms.value()) - append_ms));
      first = entry.first.value() + entry.count;
      term = entry.term.value();
      append_ms = as_u64(entry.append_ms.value());
      if (!batches_[i]) {
        writer.u8(static_cast<uint8_t>(PayloadForm::as_it_is));
        writer.varint(entry.payload.size());
        continue;
      }
      writer.u8(static_cast<uint8_t>(PayloadForm::columns));
      writer.varint(batches_[i]->sender);
      writer.u8(batches_[i]->header.again ? 1 : 0);
      writer.svarint(as_i64(as_u64(batches_[i]->header.low_water.value()) - append_ms));
    }
  }

  template <typename NumberOf>
  void write_numbers(std::string& out, NumberOf number_of) const {
    std::vector<uint64_t> numbers;
    numbers.reserve(records_.size());
    for (const auto& record : records_) numbers.push_back(number_of(record));
    append_numbers(numbers, out);
  }
  template <typename TextOf>
  void write_texts(std::string& out, TextOf text_of) const {
    std::vector<std::string_view> texts;
    texts.reserve(records_.size());
    for (const auto& record : records_) texts.push_back(text_of(record));
    append_texts(texts, out);
  }
  template <typename TextOf>
  void write_entries(std::string& out, const Dictionary& dictionary, TextOf text_of) const {
    std::vector<std::string_view> texts;
    for (const size_t at : dictionary.first_at) texts.push_back(text_of(records_[at]));
    append_texts(texts, out);
  }

  void write_times(std::string& out) const {
    write_numbers(out, [](const RecordLayout& record) { return uint64_t{record.flags}; });
    append_numbers(received_steps_, out);
    write_numbers(out, [](const RecordLayout& record) {
      return zigzag(as_u64(record.received_ms) - as_u64(record.timestamp_ms));
    });
  }

  void write_shapes(std::string& out) const {
    write_numbers(out, [](const RecordLayout& record) {
      return static_cast<uint64_t>(record.shape & ~kShapeDeviceBits);
    });
    std::string letters;
    letters.reserve(records_.size() * 2);
    for (const auto& record : records_) ByteWriter(letters).u16(record.country);
    std::vector<std::string_view> countries;
    for (size_t i = 0; i < records_.size(); ++i) {
      countries.push_back(std::string_view(letters).substr(i * 2, 2));
    }
    append_texts(countries, out);
  }

  void write_click_ids(std::string& out) const {
    std::vector<std::string_view> texts;
    for (const auto& record : records_) {
      if (click_id_is_packed(record.shape)) {
        out += record.click_id;
      } else {
        texts.push_back(record.click_id);
      }
    }
    append_texts(texts, out);
  }

  void write_ads(std::string& out) const {
    // The three stand side by side in the record, so that its bytes from the first
    // length to the last character are one key for all.
    std::vector<DictionaryKey> keys;
    keys.reserve(records_.size());
    for (const auto& record : records_) {
      const char* begin = record.ad_id.data() - length_bytes(record.ad_id);
      const char* end = record.ad_format.data() + record.ad_format.size();
      keys.push_back({std::string_view(begin, static_cast<size_t>(end - begin))});
    }
    const Dictionary ads = make_dictionary(keys);
    ByteWriter(out).varint(ads.first_at.size());
    write_entries(out, ads, [](const RecordLayout& record) { return record.ad_id; });
    write_entries(out, ads, [](const RecordLayout& record) { return record.advertiser_id; });
    write_entries(out, ads, [](const RecordLayout& record) { return record.ad_format; });
    append_numbers(ads.index_of, out);
  }

  void write_agents(std::string& out) const {
    std::vector<DictionaryKey> keys;
    keys.reserve(records_.size());
    for (const auto& record : records_) {
      keys.push_back({record.user_agent, static_cast<uint8_t>(record.shape & kShapeDeviceBits)});
    }
    const Dictionary agents = make_dictionary(keys);
    ByteWriter(out).varint(agents.first_at.size());
    write_entries(out, agents, [](const RecordLayout& record) { return record.user_agent; });
    std::vector<uint64_t> devices;
    for (const size_t at : agents.first_at) devices.push_back(keys[at].code);
    append_numbers(devices, out);
    append_numbers(agents.index_of, out);
  }

  void write_ips(std::string& out, IpForm form) const {
    std::vector<std::string_view> texts;
    for (const auto& record : records_) {
      if (ip_form(record.shape) == form) texts.push_back(record.ip);
    }
    append_texts(texts, out);
  }

  std::span<const Entry> entries_;
  std::vector<std::optional<Taken>> batches_;  ///< one for each entry
  std::vector<std::string_view> senders_;
  std::unordered_map<std::string_view, uint64_t> sender_numbers_;
  std::vector<RecordLayout> records_;
  std::vector<uint64_t> received_steps_;
  size_t payload_bytes_ = 0;
};

class BlockReader {
 public:
  explicit BlockReader(std::string_view bytes) : cursor_(bytes), texts_(kPayloadBytesMax * 2) {}

  Result<std::vector<Entry>> read() {
    const bool good = read_headers() && read_columns() && put_together() && read_payloads();
    if (good && cursor_.done()) return std::move(entries_);
    return Error(Errc::corrupt, "a block of clicks is malformed", {}, cursor_.position());
  }

 private:
  struct Head {
    PayloadForm form = PayloadForm::as_it_is;
    uint64_t payload_bytes = 0;
    BatchHeader batch;
  };

  bool read_headers() {
    if (cursor_.u8() != kVersion) return false;
    std::vector<std::string_view> senders;
    for (uint64_t number = cursor_.varint(); number > 0 && cursor_.ok(); --number) {
      senders.push_back(cursor_.bytes());
      if (senders.back().empty() || senders.back().size() > 255) return false;
    }
    uint64_t first = 0;
    uint64_t term = 0;
    uint64_t append_ms = 0;
    for (uint64_t number = cursor_.varint(); number > 0 && cursor_.ok(); --number) {
      Entry entry;
      Head head;
      first += as_u64(cursor_.svarint());
      const uint64_t count = cursor_.varint();
      entry.kind = cursor_.u8();
      term += as_u64(cursor_.svarint());
      append_ms += as_u64(cursor_.svarint());
      const uint8_t form = cursor_.u8();
      if (!cursor_.ok() || count > std::numeric_limits<uint32_t>::max() || form > 1) return false;
      entry.first = Offset(first);
      entry.count = static_cast<uint32_t>(count);
      entry.term = Term(term);
      entry.append_ms = LogMs(as_i64(append_ms));
      first += count;
      head.form = static_cast<PayloadForm>(form);
      if (head.form == PayloadForm::as_it_is) {
        head.payload_bytes = cursor_.varint();
      } else if (!read_batch_head(entry, senders, head)) {
        return false;
      }
      heads_.push_back(head);
      entries_.push_back(std::move(entry));
    }
    return cursor_.ok();
  }

  bool read_batch_head(const Entry& entry, const std::vector<std::string_view>& senders,
                       Head& head) {
    const uint64_t sender = cursor_.varint();
    const uint8_t again = cursor_.u8();
    const uint64_t low_water = as_u64(cursor_.svarint()) + as_u64(entry.append_ms.value());
    if (!cursor_.ok() || sender >= senders.size() || again > 1) return false;
    if (entry.kind != static_cast<uint8_t>(EntryKind::clicks)) return false;
    head.batch = {senders[sender], again == 1, ArrivalMs(as_i64(low_water))};
    count_ += entry.count;
    return count_ <= kRecordsMax;
  }

  bool read_columns() {
    payload_bytes_ = cursor_.varint();
    if (!cursor_.ok() || payload_bytes_ > kPayloadBytesMax) return false;
    if (count_ > payload_bytes_ / kRecordBytesMin) return false;
    flags_ = read_numbers(cursor_, count_);
    received_steps_ = read_numbers(cursor_, count_);
    delays_ = read_numbers(cursor_, count_);
    shapes_ = read_numbers(cursor_, count_);
    countries_ = texts_.read(cursor_, count_);
    if (!cursor_.ok() || !count_shapes()) return false;
    uuids_ = cursor_.raw(uuid_count_ * kUuidBytes);
    click_ids_ = texts_.read(cursor_, count_ - uuid_count_);
    return read_ads() && read_agents() && read_rest();
  }

  bool count_shapes() {
    for (size_t i = 0; i < count_; ++i) {
      if (shapes_[i] > kShapeKnownBits || (shapes_[i] & kShapeDeviceBits) != 0) return false;
      const auto shape = static_cast<uint8_t>(shapes_[i]);
      if (!valid_shape(shape) || flags_[i] > 0xff || countries_[i].size() != 2) return false;
      uuid_count_ += click_id_is_packed(shape);
      ++ip_counts_[static_cast<size_t>(ip_form(shape))];
    }
    return true;
  }

  /// Reads which entry of a dictionary each record has.
  bool read_indexes(std::vector<uint64_t>& indexes, uint64_t entries) {
    indexes = read_numbers(cursor_, count_);
    return cursor_.ok() && std::all_of(indexes.begin(), indexes.end(),
                                       [&](uint64_t index) { return index < entries; });
  }

  bool read_ads() {
    const uint64_t number = cursor_.varint();
    if (number > count_) return false;
    ad_ids_ = texts_.read(cursor_, number);
    advertiser_ids_ = texts_.read(cursor_, number);
    ad_formats_ = texts_.read(cursor_, number);
    return read_indexes(ads_, number);
  }

  bool read_agents() {
    const uint64_t number = cursor_.varint();
    if (number > count_) return false;
    user_agents_ = texts_.read(cursor_, number);
    devices_ = read_numbers(cursor_, number);
    const bool known = std::all_of(devices_.begin(), devices_.end(),
                                   [](uint64_t device) { return device < kDevices; });
    return known && read_indexes(agents_, number);
  }

  bool read_rest() {
    user_ids_ = texts_.read(cursor_, count_);
    for (const IpForm form : {IpForm::v4, IpForm::v6, IpForm::text}) {
      auto& ips = ips_[static_cast<size_t>(form)];
      ips = texts_.read(cursor_, ip_counts_[static_cast<size_t>(form)]);
      const bool sized =
          form == IpForm::text || std::all_of(ips.begin(), ips.end(), [&](std::string_view ip) {
            return ip.size() == packed_ip_bytes(form);
          });
      if (!sized) return false;
    }
    referrers_ = texts_.read(cursor_, count_);
    return cursor_.ok();
  }

  RecordLayout next_record(uint64_t& received_ms) {
    const size_t i = done_++;
    RecordLayout record;
    received_ms += unzigzag(received_steps_[i]);
    record.flags = static_cast<uint8_t>(flags_[i]);
    record.received_ms = as_i64(received_ms);
    record.timestamp_ms = as_i64(received_ms - unzigzag(delays_[i]));
    record.shape = static_cast<uint8_t>(shapes_[i] | devices_[agents_[i]]);
    record.country = ByteCursor(countries_[i]).u16();
    if (click_id_is_packed(record.shape)) {
      record.click_id = uuids_.substr(0, kUuidBytes);
      uuids_.remove_prefix(kUuidBytes);
    } else {
      record.click_id = click_ids_[click_ids_done_++];
    }
    record.ad_id = ad_ids_[ads_[i]];
    record.advertiser_id = advertiser_ids_[ads_[i]];
    record.ad_format = ad_formats_[ads_[i]];
    record.user_id = user_ids_[i];
    const auto form = static_cast<size_t>(ip_form(record.shape));
    record.ip = ips_[form][ips_done_[form]++];
    record.user_agent = user_agents_[agents_[i]];
    record.referrer = referrers_[i];
    return record;
  }

  /// Makes the payloads of the entries in columns; false when they aren't as long
  /// as the block says.
  bool put_together() {
    std::vector<RecordLayout> records;
    for (size_t i = 0; i < entries_.size(); ++i) {
      if (heads_[i].form != PayloadForm::columns) continue;
      std::string& payload = entries_[i].payload;
      encode_batch_header(heads_[i].batch, payload);
      records.clear();
      size_t bytes = payload.size();
      uint64_t received_ms = as_u64(entries_[i].append_ms.value());
      for (uint32_t k = 0; k < entries_[i].count; ++k) {
        records.push_back(next_record(received_ms));
        bytes += layout_bytes(records.back());
      }
      if (bytes > payload_bytes_) return false;
      payload_bytes_ -= bytes;
      payload.reserve(bytes);
      for (const auto& record : records) append_layout(record, payload);
    }
    return payload_bytes_ == 0;
  }

  bool read_payloads() {
    for (size_t i = 0; i < entries_.size(); ++i) {
      if (heads_[i].form == PayloadForm::as_it_is) {
        entries_[i].payload = cursor_.raw(heads_[i].payload_bytes);
      }
    }
    return cursor_.ok();
  }

  using Numbers = std::vector<uint64_t>;
  using Texts = std::vector<std::string_view>;

  ByteCursor cursor_;
  TextReader texts_;
  std::vector<Entry> entries_;
  std::vector<Head> heads_;
  size_t count_ = 0;
  size_t done_ = 0;
  uint64_t payload_bytes_ = 0;
  Numbers flags_, received_steps_, delays_, shapes_, ads_, agents_, devices_;
  Texts countries_, click_ids_, ad_ids_, advertiser_ids_, ad_formats_, user_agents_, user_ids_,
      referrers_;
  std::string_view uuids_;
  size_t uuid_count_ = 0;
  size_t click_ids_done_ = 0;
  std::array<Texts, 3> ips_;
  std::array<size_t, 3> ip_counts_{};
  std::array<size_t, 3> ips_done_{};
};

}  // namespace

std::string ColumnCodec::encode(std::span<const Entry> entries) const {
  return BlockWriter(entries).write();
}

Result<std::vector<Entry>> ColumnCodec::decode(std::string_view bytes) const {
  return BlockReader(bytes).read();
}

}  // namespace clickmill::click
