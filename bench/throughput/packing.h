// The client's side of permessage-deflate on zlib alone, so that it checks the library's code.
#pragma once

#include <string>
#include <string_view>

namespace tern::bench {

/// Returns the payload of a compressed message (RFC 7692 §7.2.1): level 6, without references to
/// earlier messages.
std::string pack(std::string_view message);
/// Returns the message of such a payload. Throws std::runtime_error when it does not inflate.
std::string unpack(std::string_view payload);

}  // namespace tern::bench
