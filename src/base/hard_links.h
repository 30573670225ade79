#pragma once

#include <string>

#include "base/result.h"

namespace clickmill {

// Second names of files on the real disk, by which a backup shares what never changes. A
// file that has one must not be written in place any more: who rewrites it breaks the link
// first. FileSystem::Open::truncate does so by itself.
// Thread: any.

/// Gives the file a further name. Errc::not_found: there is no such file; Errc::invalid:
/// this file system, or these two, can't.
Status add_name(const std::string& existing, const std::string& added);
/// Whether the file has further names. False for one that can't be looked at.
bool has_other_names(const std::string& path);
/// Whether the two, which exist, lie on one file system.
bool on_one_disk(const std::string& one, const std::string& other);
/// Makes this name one of a file of its own with the same bytes, if it is not; they are
/// durable then. Cost: copies the whole file.
Status break_link(const std::string& path);
/// Removes the folder with all that is in it; what is gone already is no error.
Status remove_tree(const std::string& path);

}  // namespace clickmill
