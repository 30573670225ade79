// What nodes ask each other for an answer of several. Little-endian; v: LEB128, s: signed LEB128;
// a string: v length, bytes. What carries it has a checksum.
//
// RowsWanted, version 1
//   1  version        1  flags, by the order of the fields below
//   v  partitions, each v
//   v  of those that must be read up to an offset: v partition, v offset
//   ad_id, advertiser_id
//   v  pieces: 1 table, s from, s length
//
// Rows, version 1
//   1  version        3 × s  deleted_before
//   v  partitions, in the order in which they were asked for:
//      s log_time     s low_water     s grace_ms     v applied     1 stale
//      v  rows, each as store::encode_row makes it
#include "query/scatter.h"

#include <algorithm>
#include <limits>
#include <map>
#include <span>
#include <tuple>
#include <utility>

#include "base/bytes.h"
#include "click/click.h"
#include "query/aggregate.h"
#include "query/buckets.h"
#include "query/rows.h"
#include "store/row.h"

namespace clickmill::query {
namespace {

constexpr uint8_t kVersion = 1;
constexpr uint64_t kPartitionsMost = 1024;
constexpr uint64_t kPiecesMost = 1 << 18;
constexpr uint64_t kRowsMost = 1 << 22;
// A frame holds some more.
constexpr size_t kAnswerBytesMost = 16 << 20;
constexpr size_t kGatheredBytesMost = 4 * kAnswerBytesMost;

Error too_much() {
  return Error(Errc::invalid,
               "granularity: so many rows of other nodes are more than one answer between nodes "
               "holds; a coarser one, or a shorter time, needs fewer");
}

store::Counts counts_of(const store::RowView& view) {
  store::Counts counts;
  counts.clicks = view.clicks;
  counts.devices = view.devices;
  counts.countries.assign(view.countries, view.countries + view.countries_size);
  return counts;
}

/// The rows of one partition, added up.
class Gathering {
 public:
  Gathering(const RowsWanted& wanted, PartitionId id, uint32_t partitions,
            const store::Version& version)
      : wanted_(wanted), id_(id), partitions_(partitions), rows_(std::span(&version, 1)) {
    scan_.ad_id = wanted.ad_id;
    scan_.advertiser_id = wanted.advertiser_id;
    scan_.countries = wanted.countries;
    scan_.visitors = wanted.visitors;
  }

  Result<std::string> run() {
    TRY(wanted_.by_ad ? add_ads() : add_buckets());
    if (sums_.empty() && wanted_.any_time) TRY(add_newest());
    std::string out;
    ByteWriter(out).varint(sums_.size());
    for (const auto& [key, row] : sums_) {
      store::encode_row(row, out);
      if (out.size() > kAnswerBytesMost) return too_much();
    }
    return out;
  }

 private:
  /// A part may hold rows of other partitions too.
  bool is_of(std::string_view ad_id) {
    if (ad_id != last_) {
      last_ = ad_id;
      last_is_of_ = click::partition_of(ad_id, partitions_) == id_;
    }
    return last_is_of_;
  }

  store::Row& sum_of(std::string_view advertiser_id, std::string_view ad_id, bool automated,
                     int64_t bucket_ms) {
    const std::string_view whose = wanted_.all_as_one ? std::string_view() : advertiser_id;
    const std::string_view which =
        wanted_.by_ad || !wanted_.ad_id.empty() ? ad_id : std::string_view();
    const auto [at, is_new] = sums_.try_emplace(
        Key{std::string(whose), std::string(which), automated, wanted_.by_ad ? 0 : bucket_ms});
    store::Row& row = at->second;
    if (is_new) {
      row.advertiser_id = whose;
      row.ad_id = which;
      row.automated = automated;
      row.bucket_ms = bucket_ms;
      bytes_ += 2 * sizeof(store::Row) + whose.size() + which.size();
    }
    return row;
  }

  Status add_buckets() {
    Status status;
    TRY(rows_.scan(scan_, wanted_.plan,
                   [&](const store::RowView& view, const sketch::Hll* visitors) {
                     if (status && is_of(view.ad_id)) status = add(view, visitors);
                   }));
    return status;
  }

  Status add(const store::RowView& view, const sketch::Hll* visitors) {
    store::Row& row = sum_of(view.advertiser_id, view.ad_id, view.automated, view.bucket_ms);
    row.counts.merge(counts_of(view));
    row.bucket_ms = std::max(row.bucket_ms, view.bucket_ms);
    bytes_ -= row.visitors.memory_bytes();
    if (wanted_.visitors && visitors != nullptr) row.visitors.merge(*visitors);
    if (wanted_.visitors && visitors == nullptr && !view.visitors.empty())
      TRY(row.visitors.merge_serialized(view.visitors));
    bytes_ += row.visitors.memory_bytes();
    return bytes_ > kGatheredBytesMost ? Status(too_much()) : Status();
  }

  /// Of an ad that was another advertiser's too, the newest row says whose it is.
  Status add_ads() {
    if (wanted_.countries) return add_buckets();
    const int64_t from_ms = wanted_.plan.front().from_ms;
    std::map<std::string, int> owners;
    Status status;
    TRY(rows_.sum(scan_, wanted_.plan, [&](const store::AdSum& sum) {
      if (!status || sum.clicks == 0 || !is_of(sum.ad_id)) return;
      const size_t before = sums_.size();
      store::Row& row = sum_of(sum.advertiser_id, sum.ad_id, sum.automated, from_ms);
      if (sums_.size() > before) ++owners[std::string(sum.ad_id)];
      row.counts.clicks += sum.clicks;
      for (size_t i = 0; i < click::kDevices; ++i) row.counts.devices[i] += sum.devices[i];
      if (bytes_ > kGatheredBytesMost) status = too_much();
    }));
    TRY(std::move(status));
    for (const auto& [ad_id, count] : owners) {
      if (count > 1) TRY(find_newest(ad_id));
    }
    return {};
  }

  Status find_newest(const std::string& ad_id) {
    store::Scan scan;
    scan.ad_id = ad_id;
    return rows_.scan(scan, wanted_.plan, [&](const store::RowView& view, const sketch::Hll*) {
      store::Row& row = sum_of(view.advertiser_id, view.ad_id, view.automated, view.bucket_ms);
      row.bucket_ms = std::max(row.bucket_ms, view.bucket_ms);
    });
  }

  Status add_newest() {
    std::pair<int64_t, std::string> newest;
    bool any = false;
    TRY(rows_.scan_any(scan_, [&](const store::RowView& view) {
      if (!is_of(view.ad_id)) return;
      any = true;
      newest = std::max(newest, {view.bucket_ms, std::string(view.advertiser_id)});
    }));
    if (any) sum_of(newest.second, wanted_.ad_id, false, newest.first);
    return {};
  }

  using Key = std::tuple<std::string, std::string, bool, int64_t>;
  const RowsWanted& wanted_;
  const PartitionId id_;
  const uint32_t partitions_;
  const Rows rows_;
  store::Scan scan_;
  std::map<Key, store::Row> sums_;
  size_t bytes_ = 0;  ///< that the sums take, about
  std::string last_;
  bool last_is_of_ = false;
};

/// What the workers that own the head are asked for.
store::Scan head_of(const RowsWanted& wanted) {
  store::Scan scan;
  scan.ad_id = wanted.ad_id;
  scan.advertiser_id = wanted.advertiser_id;
  scan.from_ms = wanted.plan.front().from_ms;
  scan.to_ms = wanted.plan.back().to_ms;
  scan.countries = wanted.countries;
  scan.visitors = wanted.visitors;
  scan.folded = wanted.by_ad && !wanted.countries;
  scan.outside = wanted.any_time && !wanted.ad_id.empty();
  return scan;
}

void write_version(const store::Version& version, ByteWriter& out) {
  out.svarint(version.log_time.value());
  out.svarint(version.low_water.value());
  out.svarint(version.grace_ms);
  out.varint(version.applied.value());
  out.u8(version.stale ? 1 : 0);
}

Result<store::Version> read_version(ByteCursor& in) {
  store::Version version;
  version.log_time = LogMs(in.svarint());
  version.low_water = ArrivalMs(in.svarint());
  version.grace_ms = in.svarint();
  version.applied = Offset(in.varint());
  version.stale = in.u8() != 0;
  const uint64_t rows = in.varint();
  if (rows > kRowsMost) in.fail();
  for (uint64_t i = 0; i < rows && in.ok(); ++i) version.head.push_back(TRY(store::decode_row(in)));
  return version;
}

}  // namespace

std::string encode(const RowsWanted& wanted) {
  std::string bytes;
  ByteWriter out(bytes);
  out.u8(kVersion);
  out.u8(static_cast<uint8_t>((wanted.countries ? 1 : 0) | (wanted.visitors ? 2 : 0) |
                              (wanted.by_ad ? 4 : 0) | (wanted.any_time ? 8 : 0) |
                              (wanted.all_as_one ? 16 : 0)));
  out.varint(wanted.partitions.size());
  for (const PartitionId id : wanted.partitions) out.varint(id.value());
  out.varint(wanted.at_least.size());
  for (const auto& [id, offset] : wanted.at_least) {
    out.varint(id.value());
    out.varint(offset.value());
  }
  out.bytes(wanted.ad_id);
  out.bytes(wanted.advertiser_id);
  out.varint(wanted.plan.size());
  for (const Piece& piece : wanted.plan) {
    out.u8(static_cast<uint8_t>(piece.table));
    out.svarint(piece.from_ms);
    out.svarint(piece.to_ms - piece.from_ms);
  }
  return bytes;
}

Result<RowsWanted> decode_rows_wanted(std::string_view bytes) {
  ByteCursor in(bytes);
  RowsWanted wanted;
  if (in.u8() != kVersion) in.fail();
  const uint8_t flags = in.u8();
  wanted.countries = (flags & 1) != 0;
  wanted.visitors = (flags & 2) != 0;
  wanted.by_ad = (flags & 4) != 0;
  wanted.any_time = (flags & 8) != 0;
  wanted.all_as_one = (flags & 16) != 0;
  const auto count_to = [&in](uint64_t most) {
    const uint64_t count = in.varint();
    if (count > most) in.fail();
    return in.ok() ? count : 0;
  };
  for (uint64_t left = count_to(kPartitionsMost); left > 0 && in.ok(); --left)
    wanted.partitions.emplace_back(static_cast<uint32_t>(in.varint()));
  for (uint64_t left = count_to(kPartitionsMost); left > 0 && in.ok(); --left) {
    const PartitionId id(static_cast<uint32_t>(in.varint()));
    wanted.at_least[id] = Offset(in.varint());
  }
  wanted.ad_id = in.bytes();
  wanted.advertiser_id = in.bytes();
  int64_t end_ms = std::numeric_limits<int64_t>::min();
  for (uint64_t left = count_to(kPiecesMost); left > 0 && in.ok(); --left) {
    const uint8_t table = in.u8();
    const int64_t from_ms = in.svarint();
    const int64_t length_ms = in.svarint();
    const bool fits = table < store::kTables && from_ms >= end_ms && length_ms > 0 &&
                      from_ms <= std::numeric_limits<int64_t>::max() - length_ms;
    if (!fits) {
      in.fail();
      break;
    }
    end_ms = from_ms + length_ms;
    wanted.plan.push_back({static_cast<store::Table>(table), from_ms, end_ms});
  }
  if (!in.done() || wanted.partitions.empty() || wanted.plan.empty())
    return Error(Errc::invalid, "a question about rows is malformed");
  return wanted;
}

Result<RowsWanted> rows_wanted(const ClicksRequest& request) {
  RowsWanted wanted;
  wanted.ad_id = request.ad_id;
  wanted.advertiser_id = request.advertiser_id;
  const store::Scan head = head_scan(request);
  wanted.countries = head.countries;
  wanted.visitors = head.visitors;
  wanted.all_as_one = request.every_advertiser && request.advertiser_id.empty();
  wanted.any_time = !wanted.all_as_one;
  const auto starts =
      bucket_starts(*request.zone, request.granularity, request.from_ms, request.to_ms);
  if (starts.empty()) return Error(Errc::invalid, "to: it must be later than from");
  const BucketIndex index(starts, request.to_ms);
  wanted.plan = TRY(plan_of(index, request.deleted_before));
  return wanted;
}

Result<RowsWanted> rows_wanted(const TopRequest& request) {
  RowsWanted wanted;
  wanted.advertiser_id = request.advertiser_id;
  wanted.by_ad = true;
  wanted.countries = request.country.has_value();
  if (!append_stretch(request.from_ms, request.to_ms, request.deleted_before, wanted.plan))
    return Error(Errc::invalid, "from: rows that this needs have been deleted");
  return wanted;
}

Result<std::string> encode_rows(const RowsWanted& wanted, uint32_t partitions,
                                const store::TableTimes& deleted,
                                std::span<const store::Version> versions) {
  std::string bytes;
  ByteWriter out(bytes);
  out.u8(kVersion);
  for (const int64_t time : deleted) out.svarint(time);
  out.varint(versions.size());
  for (size_t i = 0; i < versions.size(); ++i) {
    write_version(versions[i], out);
    bytes += TRY(Gathering(wanted, wanted.partitions[i], partitions, versions[i]).run());
    if (bytes.size() > kAnswerBytesMost) return too_much();
  }
  return bytes;
}

Result<std::string> give_rows(const cluster::VersionReader& reader, uint32_t partitions,
                              const store::TableTimes& deleted, std::string_view question) {
  const RowsWanted wanted = TRY(decode_rows_wanted(question));
  for (const PartitionId id : wanted.partitions) {
    if (id.value() >= partitions) return Error(Errc::invalid, "no such partition");
  }
  const auto versions = TRY(reader.read(wanted.partitions, head_of(wanted), wanted.at_least));
  auto bytes = encode_rows(wanted, partitions, deleted, versions);
  if (!bytes) return reader.report(std::move(bytes).error());
  return bytes;
}

Result<RowsGiven> decode_rows(std::string_view bytes, const std::vector<PartitionId>& partitions) {
  ByteCursor in(bytes);
  RowsGiven given;
  if (in.u8() != kVersion) in.fail();
  for (int64_t& time : given.deleted_before) time = in.svarint();
  if (in.varint() != partitions.size()) in.fail();
  for (size_t i = 0; i < partitions.size() && in.ok(); ++i)
    given.versions.push_back(TRY(read_version(in)));
  if (!in.done()) return Error(Errc::io, "rows of another node are malformed");
  return given;
}

store::TableTimes Scattered::deleted_before() const {
  store::TableTimes times = store::kAllTime;
  for (size_t i = 0; i < store::kTables; ++i) times[i] = std::max(times[i], deleted_[i].load());
  return times;
}

Result<std::vector<store::Version>> Scattered::read(const std::vector<PartitionId>& ids,
                                                    const store::Scan& head, RowsWanted wanted,
                                                    const cluster::Position& at_least) {
  std::vector<PartitionId> here;
  std::vector<PartitionId> there;
  for (const PartitionId id : ids) (elsewhere_.is(id) ? there : here).push_back(id);
  std::map<PartitionId, store::Version> found;
  const auto question = [&](const std::vector<PartitionId>& of) {
    wanted.partitions = of;
    wanted.at_least.clear();
    for (const PartitionId id : of) {
      const auto least = at_least.find(id);
      if (least != at_least.end()) wanted.at_least.insert(*least);
    }
    return encode(wanted);
  };
  const auto take = [&](const std::vector<PartitionId>& of, std::string_view answer) -> Status {
    auto given = TRY(decode_rows(answer, of));
    for (size_t i = 0; i < of.size(); ++i) found[of[i]] = std::move(given.versions[i]);
    for (size_t i = 0; i < store::kTables; ++i) {
      int64_t known = deleted_[i];
      while (known < given.deleted_before[i] &&
             !deleted_[i].compare_exchange_weak(known, given.deleted_before[i])) {
      }
    }
    return {};
  };
  if (!there.empty()) {
    auto asked = elsewhere_.ask_around(there, cluster::CallKind::rows, question, take);
    if (asked.refused) return *std::move(asked.refused);
    // What stands here is behind, but better than nothing; what doesn't, says so.
    for (const PartitionId id : asked.ids) here.push_back(id);
    auto own = reader_.read(here, head, at_least);
    if (!own && !asked.ids.empty()) return cluster::Elsewhere::nobody_has(std::move(asked));
    if (!own) return own;
    for (size_t i = 0; i < here.size(); ++i) found[here[i]] = std::move((*own)[i]);
    std::vector<store::Version> versions;
    for (const PartitionId id : ids) versions.push_back(std::move(found[id]));
    return versions;
  }
  return reader_.read(ids, head, at_least);
}

}  // namespace clickmill::query
