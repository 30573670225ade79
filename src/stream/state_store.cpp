#include "stream/state_store.h"

namespace clickmill::stream {

Space ids_space(int64_t hour) { return Space{"ids-" + std::to_string(hour)}; }

}  // namespace clickmill::stream
