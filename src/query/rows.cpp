#include "query/rows.h"

#include <algorithm>
#include <limits>

namespace clickmill::query {
namespace {

bool matches(const store::Row& row, const store::Scan& wanted) {
  return (wanted.ad_id.empty() || row.ad_id == wanted.ad_id) &&
         (wanted.advertiser_id.empty() || row.advertiser_id == wanted.advertiser_id) &&
         store::takes(wanted.automated, row.automated);
}

constexpr std::array kCoarseFirst{store::Table::day, store::Table::hour, store::Table::minute};

/// Half a block of a part: a gap that is no longer costs less to read than a second scan.
constexpr int64_t kGapRowsMax = 64;

Plan pieces_of(const Plan& plan, store::Table table) {
  Plan out;
  std::copy_if(plan.begin(), plan.end(), std::back_inserter(out),
               [&](const Piece& piece) { return piece.table == table; });
  return out;
}

/// Fewer, longer pieces of the same table: the days of a zone leave out one hour each.
Plan bridge_gaps(const Plan& pieces) {
  Plan out;
  for (const Piece& piece : pieces) {
    const int64_t reach_ms = kGapRowsMax * store::bucket_ms(piece.table);
    if (!out.empty() && piece.from_ms - out.back().to_ms <= reach_ms) {
      out.back().to_ms = piece.to_ms;
    } else {
      out.push_back(piece);
    }
  }
  return out;
}

/// Neighbours as one, whatever their tables: what is summed needs no buckets.
Plan stretches_of(const Plan& plan) {
  Plan out;
  for (const Piece& piece : plan) {
    if (!out.empty() && out.back().to_ms == piece.from_ms) {
      out.back().to_ms = piece.to_ms;
    } else {
      out.push_back(piece);
    }
  }
  return out;
}

/// The piece that holds the instant; null when none does.
const Piece* piece_at(const Plan& plan, int64_t at_ms) {
  const auto after = std::upper_bound(plan.begin(), plan.end(), at_ms,
                                      [](int64_t at, const Piece& p) { return at < p.from_ms; });
  if (after == plan.begin() || at_ms >= std::prev(after)->to_ms) return nullptr;
  return &*std::prev(after);
}

/// A head row as a row of the table would be: what is answered must not tell whether it
/// stands in a part already.
store::RowView view_of(const store::Row& row, const store::Scan& wanted, store::Table table) {
  store::RowView view;
  view.advertiser_id = row.advertiser_id;
  view.ad_id = row.ad_id;
  view.automated = row.automated;
  view.bucket_ms = floor_to(row.bucket_ms, store::bucket_ms(table));
  view.clicks = row.counts.clicks;
  view.devices = row.counts.devices;
  view.countries = row.counts.countries.data();
  view.countries_size = row.counts.countries.size();
  if (wanted.estimates) view.unique_estimate = row.visitors.estimate();
  return view;
}

}  // namespace

Rows::Rows(std::span<const store::Version> versions) : versions_(versions) {
  passed_ms_ = as_of_ms_ = std::numeric_limits<int64_t>::max();
  for (const store::Version& version : versions) {
    const int64_t log_ms = version.log_time.value();
    passed_ms_ = std::min(passed_ms_, log_ms - version.grace_ms);
    as_of_ms_ = std::min({as_of_ms_, log_ms, version.low_water.value()});
    if (!version.parts) continue;
    for (size_t table = 0; table < store::kTables; ++table) {
      for (const auto& part : (*version.parts)[table]) {
        parts_[table].push_back(part.get());
      }
    }
  }
  if (versions.empty()) {
    passed_ms_ = std::numeric_limits<int64_t>::min();
    as_of_ms_ = 0;
  }
}

template <typename Show>
void Rows::each_frozen(store::Scan& wanted, const Plan& plan, const Show& show) const {
  for (const Piece& piece : plan) {
    wanted.from_ms = piece.from_ms;
    wanted.to_ms = piece.to_ms;
    for (const store::Version& version : versions_) {
      for (const auto& frozen : version.frozen) show(*frozen, piece.table);
    }
  }
}

template <typename ShowPart>
Status Rows::each_part(store::Scan& wanted, const Plan& plan, const ShowPart& show) const {
  wanted.keep = true;
  for (const Piece& piece : plan) {
    // No click is older than 1970, though a bucket of a zone may begin before it.
    wanted.from_ms = std::max<int64_t>(piece.from_ms, 0);
    wanted.to_ms = piece.to_ms;
    for (const store::Part* part : parts_[static_cast<size_t>(piece.table)]) {
      const store::PartMeta& meta = part->meta();
      if (meta.max_bucket_ms < piece.from_ms || meta.min_bucket_ms >= piece.to_ms) continue;
      TRY(show(*part));
    }
  }
  return {};
}

template <typename ShowRow>
void Rows::each_head_row(const store::Scan& wanted, const Plan& plan, const ShowRow& show) const {
  for (const store::Version& version : versions_) {
    for (const store::Row& row : version.head) {
      if (!matches(row, wanted)) continue;
      if (const Piece* piece = piece_at(plan, row.bucket_ms)) show(row, piece->table);
    }
  }
}

void Rows::each_part_number(const std::function<void(uint64_t, int64_t, int64_t)>& show) const {
  for (const auto& table : parts_) {
    for (const store::Part* part : table) {
      const store::PartMeta& meta = part->meta();
      show(part->number(), meta.min_bucket_ms,
           meta.max_bucket_ms + store::bucket_ms(meta.table) - 1);
    }
  }
}

Status Rows::scan_parts(const store::Scan& from, const Plan& plan,
                        const store::Visit& visit) const {
  store::Scan wanted = from;
  // Coarse rows first: sketches grow dense early, and fine ones are then quick to merge.
  for (const auto table : kCoarseFirst) {
    const Plan pieces = pieces_of(plan, table);
    const Plan bridged = bridge_gaps(pieces);
    const bool gaps = bridged.size() < pieces.size();
    const store::Visit show = [&](const store::RowView& view) {
      if (!gaps || piece_at(pieces, view.bucket_ms) != nullptr) visit(view);
    };
    TRY(each_part(wanted, bridged,
                  [&](const store::Part& part) { return part.scan(wanted, show); }));
  }
  return {};
}

Status Rows::scan(const store::Scan& wanted, const Plan& plan, const Visit& visit) const {
  TRY(scan_parts(wanted, plan, [&](const store::RowView& view) { visit(view, nullptr); }));
  scan_memory(wanted, plan, visit);
  return {};
}

void Rows::scan_memory(const store::Scan& from, const Plan& plan, const Visit& visit) const {
  store::Scan wanted = from;
  each_frozen(wanted, plan, [&](const store::MemoryRows& frozen, store::Table table) {
    frozen.scan(table, wanted, visit);
  });
  each_head_row(wanted, plan, [&](const store::Row& row, store::Table table) {
    visit(view_of(row, wanted, table), &row.visitors);
  });
}

Status Rows::sum(store::Scan wanted, const Plan& plan, const store::VisitSum& visit) const {
  each_head_row(wanted, plan, [&](const store::Row& row, store::Table) {
    visit({row.advertiser_id, row.ad_id, 1, row.counts.clicks, row.counts.devices, row.automated});
  });
  each_frozen(wanted, stretches_of(plan),
              [&](const store::MemoryRows& frozen, store::Table) { frozen.sum(wanted, visit); });
  return each_part(wanted, plan, [&](const store::Part& part) { return part.sum(wanted, visit); });
}

Status Rows::scan_any(store::Scan wanted, const store::Visit& visit) const {
  for (const store::Version& version : versions_) {
    for (const store::Row& row : version.head) {
      if (matches(row, wanted)) visit(view_of(row, wanted, kCoarseFirst.front()));
    }
  }
  const Plan always_minutes{{store::Table::minute, 0, std::numeric_limits<int64_t>::max()}};
  each_frozen(wanted, always_minutes, [&](const store::MemoryRows& frozen, store::Table table) {
    frozen.scan(table, wanted, [&](store::RowView view, const sketch::Hll*) {
      view.bucket_ms = floor_to(view.bucket_ms, store::bucket_ms(kCoarseFirst.front()));
      visit(view);
    });
  });
  bool any = false;
  const auto show = [&](const store::RowView& view) {
    any = true;
    visit(view);
  };
  for (const auto table : kCoarseFirst) {
    if (any) return {};
    const Plan always{{table, 0, std::numeric_limits<int64_t>::max()}};
    TRY(each_part(wanted, always,
                  [&](const store::Part& part) { return part.scan(wanted, show); }));
  }
  return {};
}

}  // namespace clickmill::query
