// Checks the options before libnats sees them, because libnats refuses a mistake only when it
// connects.
#include "nats/settings.h"

#include "nats/library.h"
#include "nats/subject.h"
#include "tls/context.h"

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <iterator>
#include <utility>

namespace tern::nats {
namespace {

constexpr std::int64_t connect_milliseconds = 2000;  // for TCP and the login
constexpr std::int64_t write_milliseconds = 2000;    // for a socket that takes nothing
constexpr int pending_messages = 65'536;             // of one topic, and as many KiB

Error refuse(std::string_view why) { return Error::described(Errc::options_invalid, why); }

std::string credentials_problem(const Credentials& given) {
  const int ways = !given.user.empty() + !given.token.empty() + !given.file.empty();
  if (ways > 1) return "credentials: give a user, a token or a file, not several of them";
  if (given.user.empty() && !given.password.empty())
    return "credentials: a password without a user";
  if (!given.user.empty() && given.password.empty())
    return "credentials: a user without a password";
  if (!given.file.empty() && !std::ifstream(given.file)) {
    return "credentials: the file " + given.file + " cannot be read";
  }
  return {};
}

// Runs the calls in turn while they succeed.
class Setting {
 public:
  void run(natsStatus status) noexcept {
    if (status_ == NATS_OK) status_ = status;
  }
  bool failed() const noexcept { return status_ != NATS_OK; }
  natsStatus status() const noexcept { return status_; }

 private:
  natsStatus status_ = NATS_OK;
};

Result<void> log_in(natsOptions* made, const Credentials& given, const ServerUrl& server) {
  Setting set;
  if (!server.user.empty()) {
    set.run(natsOptions_SetUserInfo(made, json_escaped(server.user).c_str(),
                                    json_escaped(server.password).c_str()));
  } else if (!server.token.empty()) {
    set.run(natsOptions_SetToken(made, json_escaped(server.token).c_str()));
  } else if (!given.user.empty()) {
    set.run(natsOptions_SetUserInfo(made, json_escaped(given.user).c_str(),
                                    json_escaped(given.password).c_str()));
  } else if (!given.token.empty()) {
    set.run(natsOptions_SetToken(made, json_escaped(given.token).c_str()));
  } else if (!given.file.empty()) {
    set.run(natsOptions_SetUserCredentialsFromFiles(made, given.file.c_str(), nullptr));
  }
  if (set.failed()) return refuse("credentials: " + last_error_text(set.status()));
  return {};
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// libnats takes the certificate and the key both as files or both as texts.
natsStatus load_certificate(natsOptions* made, const TlsCertificate& own) {
  const std::string& key_path = own.private_key.empty() ? own.certificate : own.private_key;
  if (own.certificate_pem.empty() && own.private_key_pem.empty()) {
    return natsOptions_LoadCertificatesChain(made, own.certificate.c_str(), key_path.c_str());
  }
  const std::string chain =
      own.certificate_pem.empty() ? read_file(own.certificate) : own.certificate_pem;
  std::string key = own.private_key_pem;
  if (key.empty()) key = key_path.empty() ? chain : read_file(key_path);
  return natsOptions_SetCertificatesChain(made, chain.c_str(), key.c_str());
}

Result<void> secure(natsOptions* made, const TlsClient& tls, const ServerUrl& server) {
  const auto failed = [](std::string_view what, natsStatus status) {
    return refuse("tls: " + std::string(what) + ": " + last_error_text(status));
  };
  const std::string& name = tls.server_name.empty() ? server.host : tls.server_name;
  Setting set;
  set.run(natsOptions_SetSecure(made, true));
  set.run(natsOptions_SetExpectedHostname(made, name.c_str()));
  set.run(natsOptions_SkipServerVerification(made, tls.insecure_accept_any_certificate));
  if (set.failed()) return failed("options", set.status());
  if (!tls.ca_pem.empty()) {
    set.run(natsOptions_SetCATrustedCertificates(made, tls.ca_pem.c_str()));
  } else if (!tls.ca_file.empty()) {
    set.run(natsOptions_LoadCATrustedCertificates(made, tls.ca_file.c_str()));
  }
  if (set.failed()) return failed("CA certificates " + tls.ca_file, set.status());
  const TlsCertificate& own = tls.certificate;
  if (!own.certificate.empty() || !own.certificate_pem.empty()) {
    set.run(load_certificate(made, own));
    if (set.failed()) return failed("certificate " + own.certificate, set.status());
  }
  return {};
}

}  // namespace

std::string json_escaped(std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string escaped;
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      escaped += '\\';
      escaped += c;
    } else if (byte < 0x20) {
      escaped += "\\u00";
      escaped += digits[byte >> 4];
      escaped += digits[byte & 15];
    } else {
      escaped += c;
    }
  }
  return escaped;
}

Result<std::vector<ServerUrl>> parse_servers(const std::vector<std::string>& urls) {
  if (urls.empty()) return refuse("servers: there is none");
  std::vector<ServerUrl> servers;
  for (std::size_t i = 0; i < urls.size(); ++i) {
    auto server = parse_server_url(urls[i]);
    if (!server) {
      return refuse("servers: number " + std::to_string(i + 1) + ": " + server.error().message());
    }
    servers.push_back(std::move(*server));
  }
  return servers;
}

std::string problem_of(const Options& options) {
  if (const std::string why = prefix_problem(options.prefix); !why.empty()) {
    return "prefix: \"" + options.prefix + "\" " + why;
  }
  if (std::string why = credentials_problem(options.credentials); !why.empty()) return why;
  if (options.tls && !options.tls->pinned_keys.empty()) return "tls: pinned_keys cannot be used";
  if (options.tls && options.tls->memory) return "tls: memory cannot be used";
  const auto servers = parse_servers(options.servers);
  if (!servers) return servers.error().message();
  // Not with libnats: it would start its threads, and a fork() may follow before the server runs.
  const auto needs = [&](const ServerUrl& server) { return needs_tls(options, server); };
  if (std::ranges::none_of(*servers, needs)) return {};
  const auto loaded = tls::ClientContext::load(options.tls.value_or(TlsClient()));
  return loaded ? std::string() : "tls: " + loaded.error().message();
}

bool needs_tls(const Options& options, const ServerUrl& server) noexcept {
  return server.secure || options.tls.has_value();
}

Result<OptionsPtr> make_options(const Options& options, const ServerUrl& server) {
  natsOptions* raw = nullptr;
  Setting set;
  set.run(natsOptions_Create(&raw));
  if (set.failed()) return error_of(set.status());
  OptionsPtr made(raw);
  set.run(natsOptions_SetURL(raw, server.plain().c_str()));
  set.run(natsOptions_SetName(raw, json_escaped(options.name).c_str()));
  set.run(natsOptions_SetAllowReconnect(raw, false));
  set.run(natsOptions_SetTimeout(raw, connect_milliseconds));
  set.run(natsOptions_SetPingInterval(raw, 0));  // the driver asks
  set.run(natsOptions_UseGlobalMessageDelivery(raw, true));
  set.run(natsOptions_SetMaxPendingMsgs(raw, pending_messages));
  set.run(natsOptions_SetSendAsap(raw, true));  // no thread of libnats writes
  if (needs_tls(options, server)) {
    set.run(natsOptions_SetWriteDeadline(raw, write_milliseconds));
  } else {
    // If the server requires TLS, libnats would begin it without a name to expect, so any
    // certificate would do. With this name none does.
    set.run(natsOptions_SetExpectedHostname(raw, "tls.is.not.wanted.invalid"));
  }
  if (set.failed()) return error_of(set.status());
  if (auto logged_in = log_in(raw, options.credentials, server); !logged_in) {
    return logged_in.error();
  }
  if (needs_tls(options, server)) {
    auto secured = secure(raw, options.tls.value_or(TlsClient()), server);
    if (!secured) return secured.error();
  }
  return made;
}

}  // namespace tern::nats
