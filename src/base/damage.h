#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include "base/result.h"

namespace clickmill {

/// Whether an error says that stored bytes are damaged or gone (and not that the disk
/// fails, or is full).
inline bool is_damage(const Error& error) {
  return error.code() == Errc::corrupt || error.code() == Errc::not_found;
}

/// A later version of this program wrote it. No damage: nothing is made anew in its place, or a
/// node that goes back to an earlier version would lose what it has.
inline Error of_later_version(std::string_view what, unsigned version, unsigned known) {
  return Error(Errc::invalid, std::string(what) + " is of version " + std::to_string(version) +
                                  ", and this program reads " + std::to_string(known) +
                                  " at most: it needs the later one that wrote it");
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
