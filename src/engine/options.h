#pragma once

#include <string>

#include "base/file_system.h"
#include "collector/intake.h"
#include "engine/config.h"
#include "engine/machine.h"
#include "http/server.h"
#include "log/journal.h"

namespace clickmill::engine {

// What parts of a node are made with, from its config.

/// What everything but the journal leaves free of the disk under `directory`, so that the
/// journal, which keeps the clicks, is the last to find it full.
Result<uint64_t> reserve_bytes(const Config& config, FileSystem& files,
                               const std::string& directory);
/// Clicks leave 5 % of the disk, at least 1 GiB, to log, checkpoints and votes; a
/// bound on the journal bounds that too. `directory`: the data's.
Result<log::Journal::Options> journal_options(const Config& config, FileSystem& files,
                                              const std::string& directory);
Result<Machine::Options> machine_options(const Config& config, FileSystem& files,
                                         const DataDir& dir);
/// Workers and io threads: as configured, or one for each core.
unsigned threads_of(const Config& config);
collector::Intake::Options intake_options(const Config& config);
/// The listeners, without what handles their requests.
http::Server::Options server_options(const Config& config);
http::Server::Listener collector_listener(const Config& config);
http::Server::Listener api_listener(const Config& config);

}  // namespace clickmill::engine
