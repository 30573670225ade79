#include "engine/state_recovery.h"

#include <fmt/format.h>

#include "base/logging.h"
#include "click/batch.h"
#include "log/segments.h"

namespace clickmill::engine {
namespace {

/// A segment without a byte is a hole (Segments::bridge).
Status check_no_hole(const log::Segments& segments) {
  for (const auto& closed : segments.closed()) {
    if (closed.bytes == 0) {
      return Error(Errc::corrupt, fmt::format("offsets {} to {} are gone", closed.first.value(),
                                              closed.last.value()));
    }
  }
  return {};
}

Status check_log_opens(const DataDir& dir, FileSystem& files, const Error& why) {
  const click::ColumnCodec codec;
  for (uint32_t i = 0; i < dir.node().partitions; ++i) {
    auto segments = log::Segments::open(files, dir.log(i), codec, {});
    Status usable = segments ? check_no_hole(**segments) : Status(std::move(segments).error());
    if (!usable) {
      return std::move(usable).error().with_context(fmt::format(
          "the stream's state is damaged ({}) and the log, from which it could be rebuilt, is too",
          why.text()));
    }
  }
  return {};
}

}  // namespace

Status set_state_aside(const DataDir& dir, FileSystem& files, const Error& why) {
  TRY(check_log_opens(dir, files, why));
  unsigned number = 1;
  const auto aside = [&](const std::string& folder) {
    return fmt::format("{}.damaged-{}", folder, number);
  };
  while (files.exists(aside(dir.state())) || files.exists(aside(dir.store()))) ++number;
  log_error("engine",
            fmt::format("the stream's state is damaged: {}; it is rebuilt from the log, the "
                        "damaged files are kept as {} and {}",
                        why.text(), aside(dir.state()), aside(dir.store())));
  // The state last: a kill in between leaves one that names parts which are gone, thus
  // damaged again, and never a store that nobody names, which would be swept.
  for (const auto& folder : {dir.store(), dir.state()}) {
    if (files.exists(folder)) TRY(files.rename(folder, aside(folder)));
  }
  return files.sync_directory(dir.path());
}

}  // namespace clickmill::engine
