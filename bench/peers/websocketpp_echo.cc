// An echo server on websocketpp in the fastest form that its configuration offers: one thread, no
// locks in the library or in Asio, no log compiled in, no random numbers, a large buffer for
// reading. The library joins waiting messages into one write. Its permessage-deflate has no option
// for the level.
#define BOOST_ASIO_DISABLE_THREADS

#include "options.h"

#include <CLI/CLI.hpp>
#include <boost/version.hpp>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <type_traits>
#include <websocketpp/concurrency/none.hpp>
#include <websocketpp/config/asio.hpp>
#include <websocketpp/logger/stub.hpp>
#include <websocketpp/server.hpp>
#include <websocketpp/version.hpp>

namespace {

namespace asio = websocketpp::lib::asio;

// `Base` is one of the library's two configurations: with TLS or without.
template <class Base>
struct Config : Base {
  using type = Config;
  using concurrency_type = websocketpp::concurrency::none;
  using elog_type = websocketpp::log::stub;
  using alog_type = websocketpp::log::stub;
  static constexpr bool enable_multithreading = false;
  static constexpr std::size_t connection_read_buffer_size = std::size_t{64} << 10;

  struct transport_config : Base::transport_config {
    using concurrency_type = Config::concurrency_type;
    using elog_type = Config::elog_type;
    using alog_type = Config::alog_type;
    static constexpr bool enable_multithreading = false;
  };
  using transport_type = websocketpp::transport::asio::endpoint<transport_config>;
};

using Plain = Config<websocketpp::config::asio>;
using Tls = Config<websocketpp::config::asio_tls>;

using peers::Options;

template <class Chosen>
void run(const Options& options) {
  constexpr bool is_tls = std::is_same_v<Chosen, Tls>;
  using Server = websocketpp::server<Chosen>;
  Server server;
  server.init_asio();
  server.set_reuse_addr(true);
  server.set_max_message_size(options.max_message);
  server.set_tcp_post_init_handler([&server](websocketpp::connection_hdl handle) {
    boost::system::error_code ignored;
    server.get_con_from_hdl(handle)->get_raw_socket().set_option(asio::ip::tcp::no_delay(true),
                                                                 ignored);
  });
  if constexpr (is_tls) {
    const auto context =
        websocketpp::lib::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
    context->use_certificate_chain_file(options.certificate);
    context->use_private_key_file(options.key, asio::ssl::context::pem);
    server.set_tls_init_handler([context](websocketpp::connection_hdl) { return context; });
  }
  server.set_message_handler(
      [&server](websocketpp::connection_hdl handle, typename Server::message_ptr message) {
        server.get_con_from_hdl(handle)->send(message);
      });
  server.listen(asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), options.port));
  server.start_accept();
  boost::system::error_code ignored;
  std::printf("listening on ws%s://127.0.0.1:%d/echo (%s, Boost %s)\n", is_tls ? "s" : "",
              server.get_local_endpoint(ignored).port(), websocketpp::user_agent,
              BOOST_LIB_VERSION);
  std::fflush(stdout);
  server.run();
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("WebSocket echo on any path, on websocketpp.", "websocketpp_echo");
  peers::add_options(app, options);
  CLI11_PARSE(app, argc, argv);
  try {
    if (options.certificate.empty()) {
      run<Plain>(options);
    } else {
      run<Tls>(options);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "websocketpp_echo: %s\n", error.what());
    return 1;
  }
  return 0;
}
