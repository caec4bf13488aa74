// The parts of the request that the command line names: the URL, header fields, credentials.
// Each function throws std::invalid_argument with a text for the user, which repeats no secret.
#pragma once

#include "connect/options.h"

#include <string>

namespace command {

/// Sets the URL: "host:port/path" means ws://. User information in it becomes Basic credentials.
void set_url(ConnectOptions& options, std::string url);
/// Adds "Name: value", or each line of the file that "@file" names. Host and User-Agent replace
/// tern's own.
void add_header(ConnectOptions& options, const std::string& text);
/// Sets the field Authorization to "NAME:PASSWORD" (RFC 7617).
void set_user(ConnectOptions& options, const std::string& text);
/// Sets the Close frame: "CODE" or "CODE:REASON".
void set_close(ConnectOptions& options, const std::string& text);
/// Sets the number of retries; empty: none, "true": without a bound.
void set_retries(ConnectOptions& options, const std::string& text);
/// Decodes a message as `options.encoding` says.
std::string decode_message(const ConnectOptions& options, const std::string& text);

}  // namespace command
