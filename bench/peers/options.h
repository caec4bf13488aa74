// The options that all servers of this directory share. The options of echo_server have the same
// names.
#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>
#include <cstdint>
#include <string>

namespace peers {

struct Options {
  std::uint16_t port = 9001;
  std::size_t max_message = std::size_t{1} << 20;
  int deflate_level = 0;      // 0: no compression
  std::string certificate{};  // empty: ws://
  std::string key{};
};

inline void add_options(CLI::App& app, Options& options) {
  app.option_defaults()->always_capture_default();
  app.add_option("--port", options.port, "0: the system chooses");
  app.add_option("--max-message", options.max_message, "bytes");
  CLI::Option* certificate =
      app.add_option("--cert", options.certificate, "PEM file with a certificate; serves wss://");
  app.add_option("--key", options.key, "PEM file with its key")->needs(certificate);
}

// Only for servers whose library lets them choose the level of compression.
inline void add_deflate_level(CLI::App& app, Options& options) {
  app.add_option("--deflate-level", options.deflate_level,
                 "level of compression; 0: accept no compression")
      ->check(CLI::Range(0, 9));
}

}  // namespace peers
