#pragma once

namespace clickmill {

/// Root of the source tree, for golden files and conf/. In one file of its own,
/// so that a compiler cache serves every other test in any checkout.
extern const char* const kSourceDir;

}  // namespace clickmill
