#include "log/manifest_repair.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "base/logging.h"
#include "log/segment.h"
#include "log/segment_survey.h"

namespace clickmill::log {
namespace {

/// Segments without a manifest are no new log: one must not be begun over them.
Result<std::unique_ptr<Manifest>> open(FileSystem& files, const std::string& directory) {
  const std::string path = directory + "/manifest";
  if (files.exists(path)) return Manifest::open(files, path);
  for (const auto& name : TRY(files.list(directory))) {
    if (!parse_segment_name(name)) continue;
    return Error(Errc::corrupt, "the manifest is missing, though " + name + " stands beside it",
                 path);
  }
  TRY(Manifest::create(files, path, {}));
  return Manifest::open(files, path);
}

/// In place of one that is damaged, from the segments; what was found of it is kept.
Result<std::unique_ptr<Manifest>> make_anew(FileSystem& files, const std::string& directory,
                                            const Error& why, std::string& told) {
  std::vector<std::string> holes;
  auto contents = survey_segments(files, directory, &holes);
  if (!contents) {
    return Error(Errc::corrupt,
                 why.message() + "; nor can it be made anew: " + contents.error().text(),
                 why.path(), why.position());
  }
  const std::string path = directory + "/manifest";
  unsigned number = 1;
  const auto kept = [&] { return fmt::format("{}.damaged-{}", path, number); };
  while (files.exists(kept())) ++number;
  told = why.text() + "; it was made anew from the segments";
  if (files.exists(path)) {
    told += ", the damaged one is kept as " + kept();
    const std::string damaged = TRY(read_file(files, path));
    TRY(write_file_atomically(files, kept(), damaged));
  }
  for (const std::string& hole : holes) told += "; " + hole;
  TRY(Manifest::create(files, path, *contents));
  log_error("log", told);
  return Manifest::open(files, path);
}

}  // namespace

Result<std::unique_ptr<Manifest>> open_or_mend_manifest(FileSystem& files,
                                                        const std::string& directory,
                                                        std::string& told) {
  auto manifest = open(files, directory);
  if (manifest || manifest.error().code() != Errc::corrupt) return manifest;
  return make_anew(files, directory, manifest.error(), told);
}

}  // namespace clickmill::log
