#include "source_dir.h"

namespace clickmill {

const char* const kSourceDir = CLICKMILL_SOURCE_DIR;

}  // namespace clickmill
