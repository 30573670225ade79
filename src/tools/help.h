#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace clickmill::tools {

/// `clickmill --help`: every command with a line of what it does.
std::string help();

/// `clickmill COMMAND --help`: usage, what it does, options, exit codes. `command` may be of
/// two words ("log dump"). Empty: there is no such command.
std::string help_of(std::string_view command);

/// The command that a command line asks help for ("log dump", or "log" for its commands;
/// empty: clickmill itself); nothing where it asks for none. `arguments`: all of them.
bool asks_help(const std::vector<std::string>& arguments, std::string& command);

/// The usage lines of a command, for those who used it otherwise.
std::string usage_of(std::string_view command);

}  // namespace clickmill::tools
