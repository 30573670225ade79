#include "base/fail_point.h"

#include <utility>

namespace clickmill {
#ifndef NDEBUG
namespace {

thread_local FailHook hook;

}  // namespace

void fail_point(std::string_view name) {
  if (hook) hook(name);
}

void set_fail_hook(FailHook to) { hook = std::move(to); }

#endif
}  // namespace clickmill
