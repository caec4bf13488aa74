// The descriptors that the command got from its caller. They are shared with other processes, so
// their flags are never changed.
#pragma once

namespace command {

/// Returns a descriptor for the file that is open as `fd`, for a Watch to own. It is non-blocking
/// if the system can open the file again, so that the flags of `fd` stay as they are; else it is
/// a copy, which shares them. `flags` is O_RDONLY or O_WRONLY. -1: `fd` is not open.
int open_again(int fd, int flags) noexcept;
/// Returns whether reads and writes of this descriptor never block.
bool is_non_blocking(int fd) noexcept;

/// Opens /dev/null for each of the descriptors 0, 1 and 2 that is closed, so that no socket gets
/// its number.
void fill_standard_descriptors() noexcept;

}  // namespace command
