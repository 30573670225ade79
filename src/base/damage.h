#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/result.h"

namespace clickmill {

/// Whether an error says that stored bytes are damaged or gone (and not that the disk
/// fails, or is full).
inline bool is_damage(const Error& error) {
  return error.code() == Errc::corrupt || error.code() == Errc::not_found;
}

/// Whether it says that something else stands where a file should be, or that this process
/// may not open it: no time mends that, only a person.
inline bool wants_a_person(const Error& error) {
  constexpr std::array kNumbers = {EACCES, EPERM, EISDIR, ENOTDIR, ELOOP};
  return error.code() == Errc::io && std::any_of(kNumbers.begin(), kNumbers.end(), [&](int number) {
           return error.message().ends_with(std::strerror(number));
         });
}

}  // namespace clickmill
