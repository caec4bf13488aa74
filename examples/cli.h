// The command line of every program here, by CLI11. A wrong command line prints one line to stderr
// and exits with 2.
#pragma once

#include "tern/dial.h"
#include "tern/server.h"
#include "tern/tls.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

namespace cli {

/// Parses the arguments. --help prints to stdout and exits with 0; an unknown flag or a bad value
/// prints one line to stderr and exits with 2.
inline void parse(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& done) {
    std::exit(app.exit(done));
  } catch (const CLI::Error& error) {
    std::string line = error.what();
    line = line.substr(0, line.find('\n'));
    std::cerr << app.get_name() << ": " << line << " (see --help)\n";
    std::exit(2);
  }
}

/// A count or a size of at least 1.
inline CLI::Validator positive() {
  return CLI::Range(std::int64_t{1}, std::int64_t{1} << 40).description("");
}

/// A count or a size of at least 0. Without it CLI11 reads a negative number as a huge one.
inline CLI::Validator not_negative() {
  return CLI::Range(std::int64_t{0}, std::int64_t{1} << 40).description("");
}

/// Any text that is not empty. An empty value usually comes from a script whose variable is not
/// set, so it is an error and does not select the default.
inline CLI::Validator not_empty() {
  const auto look = [](const std::string& text) -> std::string {
    return text.empty() ? "needs a value, not ''" : "";
  };
  return CLI::Validator(look, "");
}

/// Adds a flag in seconds. They may be fractional: above 0, at most a billion.
inline void add_seconds(CLI::App& app, const std::string& flag, std::chrono::nanoseconds& value,
                        const std::string& help) {
  using Seconds = std::chrono::duration<double>;
  const auto in_range = [](const std::string& text) -> std::string {
    double seconds = 0;
    const bool number = CLI::detail::lexical_cast(text, seconds);
    if (number && seconds > 0 && seconds <= 1e9) return {};
    return "needs a number of seconds above 0, not '" + text + "'";
  };
  app.add_option_function<double>(
         flag,
         [&value](double seconds) {
           value = std::chrono::ceil<std::chrono::nanoseconds>(Seconds(seconds));
         },
         help)
      ->check(CLI::Validator(in_range, ""))
      ->type_name("SECONDS")
      ->default_str(CLI::detail::to_string(Seconds(value).count()));
}

/// Adds the flags that select where a server listens.
inline void add_listening(CLI::App& app, std::string& host, std::uint16_t& port) {
  auto* const flag = app.add_option("--host", host, "address or name to listen on, or unix:PATH")
                         ->check(not_empty());
  app.add_option("--port", port, "port to listen on; 0: the system chooses one");
  app.add_option_function<std::string>(
         "--unix", [&host](const std::string& path) { host = "unix:" + path; },
         "path of a Unix socket to listen on; '@' in front means an abstract name")
      ->check(not_empty())
      ->excludes(flag);
}

/// Adds the flags that name the proxies in front of a server.
inline void add_proxies(CLI::App& app, tern::ServerOptions& options) {
  app.add_option("--trusted-proxy", options.trusted_proxies,
                 "address or network of a proxy that is believed, or unix: for Unix sockets")
      ->check(not_empty())
      ->default_str("none");
  app.add_flag_function(
      "--forwarded",
      [&options](std::int64_t) { options.trusted_header = tern::TrustedHeader::forwarded; },
      "believe the field Forwarded of such a proxy instead of X-Forwarded-*");
  app.add_option("--proxy-protocol", options.proxy_protocol.from,
                 "address or network of a proxy that sends a PROXY header")
      ->check(not_empty())
      ->default_str("none");
}

/// The URL at which clients reach `path` of a server, by one of the addresses where it listens.
inline std::string url_of(std::string scheme, const std::string& address, const std::string& path) {
  if (!address.starts_with("unix:")) return scheme + "://" + address + path;
  return scheme + '+' + address + ':' + path;
}

/// Blocks the signals until run() takes them, so that a SIGTERM right after "listening on" also
/// ends the server properly.
inline void block(const std::vector<int>& signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

/// Prints the URLs of the WebSocket and of the page, and serves until the server is stopped.
/// Returns the exit code. `s` is "s" for a server with TLS.
inline int serve(tern::Server& server, const std::string& s, const std::string& path) {
  auto ran = server.listen();
  if (ran) {
    const std::string where = server.addresses().front();
    std::cout << "listening on " << url_of("ws" + s, where, path) << '\n'
              << "page at " << url_of("http" + s, where, "/") << std::endl;
    ran = server.run();
  }
  if (!ran) std::cerr << ran.error().message() << '\n';
  return ran ? 0 : 1;
}

/// Adds the flag for the end of a server by a signal. The second signal ends it at once.
inline void add_drain(CLI::App& app, std::optional<tern::Drain>& drain) {
  using Seconds = std::chrono::duration<double>;
  app.add_option_function<double>(
         "--drain",
         [&drain](double seconds) {
           const auto spread = std::chrono::ceil<std::chrono::nanoseconds>(Seconds(seconds));
           drain = tern::Drain{.spread = spread, .deadline = 2 * spread + std::chrono::seconds(10)};
         },
         "seconds over which a signal closes the connections, instead of all at once")
      ->check(CLI::Range(0.0, 86'400.0).description(""))
      ->type_name("SECONDS");
}

/// Adds the flags that select the certificates that a client trusts.
inline void add_trust(CLI::App& app, tern::TlsClient& tls) {
  app.add_option("--ca", tls.ca_file, "PEM file of certificates to trust instead of the system's")
      ->check(not_empty());
  app.add_flag("--insecure", tls.insecure_accept_any_certificate,
               "accept any certificate, even an impostor's");
}

/// Adds the flags that select the way to the server.
inline void add_way(CLI::App& app, tern::DialOptions& options) {
  app.add_option_function<std::string>(
         "--proxy",
         [&options](const std::string& url) {
           auto proxy = tern::Proxy::parse(url);
           if (!proxy) throw CLI::ValidationError("--proxy", proxy.error().message());
           options.proxy = *std::move(proxy);
         },
         "URL of a proxy: http, https, socks5 or socks5h")
      ->check(not_empty());
  app.add_option("--unix-socket", options.unix_socket, "path of a Unix socket to connect to")
      ->check(not_empty());
  app.add_option("--connect-to", options.connect_to, "host:port to connect to instead of the URL's")
      ->check(not_empty());
  app.add_option("--max-redirects", options.max_redirects, "number of redirects to follow")
      ->check(CLI::Range(0, 100).description(""));
}

}  // namespace cli
