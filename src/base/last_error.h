// The error of a system call that has just failed.
#pragma once

#include <cerrno>
#include <system_error>

namespace tern::base {

/// Returns errno as an error_code of the system. Call it before any other call that may change
/// errno.
inline std::error_code last_error() noexcept { return {errno, std::system_category()}; }

}  // namespace tern::base
