// An echo server on Boost.Beast in the fastest form (beast.h), for the comparison with tern's. It
// uses beast::ssl_stream, which joins the pieces of a message before it enciphers them. Messages
// are never fragmented. For compressed messages that needs a write buffer of their compressed size:
// with Beast's default of 4 KiB each buffer full would be a frame and a system call.
#include "options.h"
#include "peers/beast.h"

#include <CLI/CLI.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <boost/beast/version.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace {

using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, Executor>;
using TlsSocket = beast::ssl_stream<Socket>;

struct Options : peers::Options {
  bool takeover = false;
  std::size_t write_buffer = std::size_t{64} << 10;
};

// The object lives as long as one of its operations is under way.
template <class Next>
class Session : public std::enable_shared_from_this<Session<Next>> {
 public:
  template <class... Arguments>
  explicit Session(const Options& options, Arguments&&... arguments)
      : stream_(std::forward<Arguments>(arguments)...) {
    stream_.read_message_max(options.max_message);
    stream_.auto_fragment(false);
    stream_.write_buffer_bytes(options.write_buffer);
    if (options.deflate_level == 0) return;
    websocket::permessage_deflate deflate;
    deflate.server_enable = true;
    deflate.server_no_context_takeover = deflate.client_no_context_takeover = !options.takeover;
    deflate.compLevel = options.deflate_level;
    deflate.memLevel = 8;  // zlib's own, and tern's
    stream_.set_option(deflate);
  }

  void start() {
    if constexpr (std::is_same_v<Next, TlsSocket>) {
      stream_.next_layer().async_handshake(asio::ssl::stream_base::server,
                                           [self = this->shared_from_this()](error_code error) {
                                             if (!error) self->upgrade();
                                           });
    } else {
      upgrade();
    }
  }

 private:
  void upgrade() {
    stream_.async_accept([self = this->shared_from_this()](error_code error) {
      if (!error) self->read();
    });
  }

  void read() {
    stream_.async_read(buffer_, [self = this->shared_from_this()](error_code error, std::size_t) {
      if (!error) self->write();
    });
  }

  void write() {
    stream_.binary(stream_.got_binary());
    stream_.async_write(buffer_.data(),
                        [self = this->shared_from_this()](error_code error, std::size_t) {
                          if (error) return;
                          self->buffer_.clear();
                          self->read();
                        });
  }

  websocket::stream<Next> stream_;
  beast::flat_buffer buffer_{};
};

class Server {
 public:
  explicit Server(const Options& options)
      : options_(options),
        acceptor_(context_,
                  asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), options.port)) {
    if (options.certificate.empty()) return;
    tls_.emplace(asio::ssl::context::tls_server);
    tls_->use_certificate_chain_file(options.certificate);
    tls_->use_private_key_file(options.key, asio::ssl::context::pem);
  }

  void run() {
    std::printf("listening on ws%s://127.0.0.1:%d/echo (Boost.Beast, Boost %s)\n", tls_ ? "s" : "",
                acceptor_.local_endpoint().port(), BOOST_LIB_VERSION);
    std::fflush(stdout);
    accept();
    context_.run();
  }

 private:
  void accept() {
    acceptor_.async_accept([this](error_code error, Socket socket) {
      if (!error) serve(std::move(socket));
      accept();
    });
  }

  void serve(Socket socket) {
    error_code ignored;
    socket.set_option(asio::ip::tcp::no_delay(true), ignored);
    if (tls_) {
      std::make_shared<Session<TlsSocket>>(options_, std::move(socket), *tls_)->start();
    } else {
      std::make_shared<Session<Socket>>(options_, std::move(socket))->start();
    }
  }

  const Options& options_;
  asio::io_context context_{1};
  Acceptor acceptor_;
  std::optional<asio::ssl::context> tls_{};
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("WebSocket echo on any path, on Boost.Beast.", "beast_echo");
  peers::add_options(app, options);
  peers::add_deflate_level(app, options);
  app.add_flag("--deflate-takeover", options.takeover, "with context takeover");
  app.add_option("--write-buffer", options.write_buffer, "bytes, of each connection");
  CLI11_PARSE(app, argc, argv);
  try {
    Server(options).run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "beast_echo: %s\n", error.what());
    return 1;
  }
  return 0;
}
