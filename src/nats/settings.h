#pragma once

#include "tern/error.h"
#include "tern/nats.h"

#include "nats/server_url.h"

#include <cstdint>
#include <memory>
#include <nats/nats.h>
#include <string>
#include <string_view>
#include <vector>

// The options of a bridge, checked, and given to libnats.

namespace tern::nats {

struct DestroyOptions {
  void operator()(natsOptions* options) const noexcept { natsOptions_Destroy(options); }
};
using OptionsPtr = std::unique_ptr<natsOptions, DestroyOptions>;

/// Returns the URLs as parts. Errors: Errc::options_invalid, if one cannot be used or there is
/// none.
Result<std::vector<ServerUrl>> parse_servers(const std::vector<std::string>& urls);

/// Returns why the options can never work; empty if there is no reason. It loads the certificates
/// and reads the file with credentials.
std::string problem_of(const Options& options);

/// Returns whether the connection to a server must have TLS.
bool needs_tls(const Options& options, const ServerUrl& server) noexcept;

/// Makes libnats' options for one server: its address, login, TLS, and no second attempt, because
/// the driver decides when to connect again. Errors: a certificate or a file that cannot be read.
Result<OptionsPtr> make_options(const Options& options, const ServerUrl& server);

/// Escapes '"', '\' and control characters as JSON does. libnats writes user, password, token and
/// name into JSON as they are.
std::string json_escaped(std::string_view text);

}  // namespace tern::nats
