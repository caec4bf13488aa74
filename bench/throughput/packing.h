// The client's side of permessage-deflate, on zlib directly: it checks what the library's makes.
#pragma once

#include <string>
#include <string_view>

namespace tern::bench {

/// The payload of a compressed message (RFC 7692 §7.2.1): level 6, referring to nothing earlier.
std::string pack(std::string_view message);
/// The message of such a payload. Throws std::runtime_error when it is none.
std::string unpack(std::string_view payload);

}  // namespace tern::bench
