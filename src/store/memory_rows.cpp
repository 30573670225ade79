#include "store/memory_rows.h"

#include "store/merge.h"

namespace clickmill::store {

void copy_rows(const MemoryRowsList& list, const Scan& scan, std::vector<Row>& rows) {
  Scan whole = scan;
  whole.countries = whole.visitors = true;
  for (const auto& memory : list) {
    memory->scan(Table::minute, whole, [&rows](const RowView& view, const sketch::Hll* visitors) {
      Row& row = rows.emplace_back(row_of(view));
      if (visitors != nullptr) row.visitors = *visitors;
    });
  }
}

}  // namespace clickmill::store
