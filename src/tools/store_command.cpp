#include "tools/store_command.h"

#include <fmt/format.h>

#include <limits>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/damage.h"
#include "base/file_system.h"
#include "base/text.h"
#include "base/time_text.h"
#include "click/click.h"
#include "engine/config.h"
#include "engine/data_dir.h"
#include "sketch/hll.h"
#include "store/part.h"
#include "store/shelf_file.h"
#include "stream/parts.h"
#include "tools/backup_check.h"

namespace clickmill::tools {
namespace {

constexpr int kOk = 0;
constexpr int kFoundWrong = 1;
constexpr int kCouldNotRun = 2;

struct Arguments {
  bool dump = false;
  std::string directory;
};

Arguments parse(const std::vector<std::string>& arguments) {
  Arguments out;
  if (arguments.empty() || (arguments[0] != "dump" && arguments[0] != "verify"))
    throw engine::ConfigError("store takes dump or verify");
  out.dump = arguments[0] == "dump";
  std::optional<std::string> directory;
  for (size_t at = 1; at < arguments.size(); ++at) {
    if (directory) throw engine::ConfigError("more than one data directory is named");
    if (arguments[at] == "--config") {
      if (at + 1 == arguments.size()) throw engine::ConfigError("--config wants a value");
      directory = engine::load_config(arguments[++at]).data_dir;
    } else if (arguments[at].starts_with("--")) {
      throw engine::ConfigError(fmt::format("store {}: no option {}", arguments[0], arguments[at]));
    } else {
      directory = arguments[at];
    }
  }
  out.directory = directory ? *directory : engine::parse_config("{}", "").data_dir;
  return out;
}

using AdClicks = std::map<std::pair<std::string, std::string>, uint64_t>;

/// Reads everything of a part. Errc::corrupt also where its rows don't sum to what stands beside
/// them.
class Reader {
 public:
  Reader(const store::Part& part, const Print* print) : part_(part), print_(print) {}

  Status run() {
    store::Scan all;
    all.to_ms = std::numeric_limits<int64_t>::max();
    all.countries = all.visitors = true;
    Status wrong;
    TRY(part_.scan(all, [&](const store::RowView& view) {
      if (wrong) wrong = take(view);
    }));
    TRY(std::move(wrong));
    TRY(part_.sum(all, [&](const store::AdSum& sum) {
      clicks_[{std::string(sum.advertiser_id), std::string(sum.ad_id)}] -= sum.clicks;
    }));
    for (const auto& [ad, left] : clicks_) {
      if (left == 0) continue;
      return Error(Errc::corrupt, fmt::format("{}: the rows of ad {} don't sum to the directory's",
                                              part_.meta().name, ad.second));
    }
    if (rows_ == part_.meta().rows) return {};
    return Error(Errc::corrupt, fmt::format("{}: {} rows, {} by its footer", part_.meta().name,
                                            rows_, part_.meta().rows));
  }

 private:
  Status take(const store::RowView& view) {
    ++rows_;
    clicks_[{std::string(view.advertiser_id), std::string(view.ad_id)}] += view.clicks;
    sketch::Hll visitors;
    if (auto merged = visitors.merge_serialized(view.visitors); !merged) {
      return std::move(merged).error().with_context(fmt::format("{}: visitors of {} at {}",
                                                                part_.meta().name, view.ad_id,
                                                                format_time_ms(view.bucket_ms)));
    }
    if (print_ != nullptr) (*print_)(line_of(view));
    return {};
  }

  std::string line_of(const store::RowView& view) const {
    std::string out = fmt::format(
        R"({{"part":"{}","table":"{}","advertiser_id":{},"ad_id":{},"window_start":"{}",)"
        R"("automated":{},"click_count":{},"unique_users":{},"device_type":{{)",
        part_.meta().name, store::to_string(part_.meta().table), json_quoted(view.advertiser_id),
        json_quoted(view.ad_id), format_time_ms(view.bucket_ms), view.automated, view.clicks,
        view.unique_estimate);
    for (size_t d = 0; d < click::kDevices; ++d) {
      out += fmt::format(R"({}"{}":{})", d == 0 ? "" : ",",
                         click::to_string(static_cast<click::Device>(d)), view.devices[d]);
    }
    out += R"(},"country":{)";
    for (size_t i = 0; i < view.countries_size; ++i) {
      out += fmt::format(R"({}{}:{})", i == 0 ? "" : ",",
                         json_quoted(click::to_string_country(view.countries[i].first)),
                         view.countries[i].second);
    }
    return out + "}}";
  }

  const store::Part& part_;
  const Print* const print_;
  uint64_t rows_ = 0;
  AdClicks clicks_;
};

/// All parts of a node, or those that count.
class Folder {
 public:
  Folder(FileSystem& disk, std::string directory, const Print* dump)
      : disk_(disk), directory_(std::move(directory)), dump_(dump) {}

  /// Of files that partitions share, dump these parts alone: what else stands there counts no
  /// more, or not yet.
  void only(std::set<std::pair<std::string, uint64_t>> named) { named_ = std::move(named); }

  /// An error that is no damage, where that keeps it from going on.
  Status read(const Print& tell) {
    for (const std::string& name : TRY(disk_.list(directory_))) {
      if (stream::slot_of_part(name)) {
        TRY(judge(read_file(name), tell));
      } else if (store::ShelfName::parse(name)) {
        TRY(read_shared(name, tell));
      }
    }
    return {};
  }

  uint64_t files = 0;
  uint64_t parts = 0;
  uint64_t rows = 0;
  uint64_t damaged = 0;

 private:
  Status judge(Status read, const Print& tell) {
    if (read) return read;
    if (!is_damage(read.error())) return read;
    ++damaged;
    tell("damage: " + read.error().text());
    return {};
  }
  Status read_file(const std::string& name) {
    ++files;
    ++parts;
    return read_part(TRY(store::Part::read_meta(disk_, directory_, name)));
  }
  Status read_part(const store::PartMeta& meta) {
    const auto part = TRY(store::Part::open(disk_, directory_, meta));
    rows += meta.rows;
    return Reader(*part, dump_).run();
  }
  Status read_shared(const std::string& name, const Print& tell) {
    ++files;
    auto entries = store::read_shelf(disk_, directory_, name);
    if (!entries) return judge(std::move(entries).error(), tell);
    for (const auto& entry : *entries) {
      if (dump_ != nullptr && named_ && named_->count({name, entry.meta.position}) == 0) continue;
      ++parts;
      auto read = read_part(entry.meta);
      if (!read) {
        read = std::move(read).error().with_context(
            fmt::format("partition {}", entry.slot.partition().value()));
      }
      TRY(judge(std::move(read), tell));
    }
    return {};
  }

  FileSystem& disk_;
  const std::string directory_;
  const Print* const dump_;  // null: nothing is printed
  std::optional<std::set<std::pair<std::string, uint64_t>>> named_;
};

}  // namespace

int store_command(const std::vector<std::string>& arguments, const Print& print,
                  const Print& complain) {
  const Arguments asked = parse(arguments);
  PosixFileSystem files;
  const auto fail = [&complain](const Error& error) {
    complain("clickmill: " + error.text());
    return kCouldNotRun;
  };
  const auto data = engine::DataDir::open_existing(files, asked.directory);
  if (!data) return fail(data.error());
  const std::string directory = (*data)->store();
  // A node that was never started to the end has none.
  if (!files.exists(directory)) {
    if (!asked.dump) print("0 files, 0 parts, 0 rows, no damage");
    return kOk;
  }
  Folder folder(files, directory, asked.dump ? &print : nullptr);
  if (asked.dump) {
    if (auto named = read_named(files, asked.directory, (*data)->node().partitions)) {
      folder.only(std::move(named->places));
    } else {
      complain("clickmill: what counts is not known, so that rows may be printed twice: " +
               named.error().text());
    }
  }
  if (auto read = folder.read(asked.dump ? complain : print); !read) return fail(read.error());
  if (!asked.dump) {
    print(
        fmt::format("{} files, {} parts, {} rows, {}", folder.files, folder.parts, folder.rows,
                    folder.damaged == 0 ? "no damage" : fmt::format("{} damaged", folder.damaged)));
  }
  return folder.damaged == 0 ? kOk : kFoundWrong;
}

}  // namespace clickmill::tools
