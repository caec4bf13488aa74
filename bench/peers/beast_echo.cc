// An echo server on Boost.Beast in the fastest form (beast.h), for the comparison with tern's. On
// /fanout a message goes to all other connections, by a queue of shared messages for each. It
// uses beast::ssl_stream, which joins the pieces of a message before it enciphers them. Messages
// are never fragmented. For compressed messages that needs a write buffer of their compressed size:
// with Beast's default of 4 KiB each buffer full would be a frame and a system call.
#include "options.h"
#include "peers/beast.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <boost/beast/version.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <cstddef>
#include <cstdio>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

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
  using Members = std::vector<Session*>;  // of the fan-out, in the order in which they came

  template <class... Arguments>
  explicit Session(const Options& options, Members& members, Arguments&&... arguments)
      : stream_(std::forward<Arguments>(arguments)...), members_(members) {
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

  ~Session() {
    members_.erase(std::remove(members_.begin(), members_.end(), this), members_.end());
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

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
    beast::http::async_read(stream_.next_layer(), buffer_, request_,
                            [self = this->shared_from_this()](error_code error, std::size_t) {
                              if (!error) self->accept();
                            });
  }

  void accept() {
    stream_.async_accept(request_, [self = this->shared_from_this()](error_code error) {
      if (error) return;
      self->fans_out_ = self->request_.target() == "/fanout";
      if (self->fans_out_) self->members_.push_back(self.get());
      self->request_ = {};
      self->read();
    });
  }

  void read() {
    stream_.async_read(buffer_, [self = this->shared_from_this()](error_code error, std::size_t) {
      if (error) return;
      if (self->fans_out_) {
        self->publish();
      } else {
        self->write();
      }
    });
  }

  void publish() {
    const auto message =
        std::make_shared<const std::string>(beast::buffers_to_string(buffer_.data()));
    for (Session* other : members_) {
      if (other != this) other->send(message, stream_.got_binary());
    }
    buffer_.clear();
    read();
  }

  // All messages of the fan-out have the type of the first one.
  void send(std::shared_ptr<const std::string> message, bool binary) {
    queue_.push_back(std::move(message));
    if (queue_.size() > 1) return;
    stream_.binary(binary);
    send_next();
  }

  void send_next() {
    stream_.async_write(asio::buffer(*queue_.front()),
                        [self = this->shared_from_this()](error_code error, std::size_t) {
                          if (error) return;
                          self->queue_.pop_front();
                          if (!self->queue_.empty()) self->send_next();
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
  Members& members_;
  bool fans_out_ = false;
  beast::flat_buffer buffer_{};
  beast::http::request<beast::http::empty_body> request_{};
  std::deque<std::shared_ptr<const std::string>> queue_{};
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
      std::make_shared<Session<TlsSocket>>(options_, tls_members_, std::move(socket), *tls_)
          ->start();
    } else {
      std::make_shared<Session<Socket>>(options_, members_, std::move(socket))->start();
    }
  }

  const Options& options_;
  Session<Socket>::Members members_{};
  Session<TlsSocket>::Members tls_members_{};
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
