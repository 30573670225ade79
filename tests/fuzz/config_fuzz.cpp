#include "fuzz/target.h"

CLICKMILL_FUZZ(clickmill::decoders::kConfig)
