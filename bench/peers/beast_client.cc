// Echo load from one thread on Boost.Beast in the fastest form (beast.h), for the comparison with
// tern's client. A client of Beast masks into its write buffer piece by piece, and each piece is a
// system call. With 64 KiB a small message is one piece, and its masked bytes are still in the
// cache when they are sent. Keys come from ChaCha20, Beast's default. RFC 6455 §5.3 requires keys
// that cannot be predicted, so secure_prng(false) is not used.
#include "clients/client_program.h"
#include "peers/beast.h"

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <memory>

namespace {

using tern::bench::Address;
using tern::bench::ClientOptions;
using tern::bench::Measurement;
using tern::bench::Payload;

constexpr std::size_t write_buffer = std::size_t{64} << 10;

/// State that all connections share.
struct Load {
  explicit Load(const ClientOptions& asked) : options(asked), payload(asked) {}

  const ClientOptions& options;
  Payload payload;
  asio::io_context context{1};
  std::uint64_t replies = 0;
};

class Connection {
 public:
  /// Connects and upgrades. Throws boost::system::system_error.
  Connection(Load& load, const Address& address,
             const asio::ip::basic_resolver_results<asio::ip::tcp>& found)
      : load_(load), stream_(load.context.get_executor()) {
    asio::connect(stream_.next_layer(), found);
    stream_.next_layer().set_option(asio::ip::tcp::no_delay(true));
    stream_.binary(true);
    stream_.read_message_max(load.options.size);
    stream_.auto_fragment(false);
    stream_.write_buffer_bytes(write_buffer);
    stream_.handshake(address.host + ":" + address.port, address.target);
  }

  void start() {
    read();
    ask(load_.options.depth);
  }

 private:
  void read() {
    stream_.async_read(buffer_, [this](error_code error, std::size_t) {
      if (error) throw boost::system::system_error(error, "read");
      const auto bytes = buffer_.cdata();
      load_.payload.check({static_cast<const char*>(bytes.data()), bytes.size()},
                          stream_.got_binary(), load_.replies++);
      buffer_.clear();
      ask(1);
      read();
    });
  }

  // Only one write may be under way. Later ones follow it.
  void ask(std::size_t messages) {
    owed_ += messages;
    if (!writing_) write();
  }

  void write() {
    writing_ = true;
    const auto bytes = load_.payload.bytes();
    stream_.async_write(asio::buffer(bytes), [this](error_code error, std::size_t) {
      if (error) throw boost::system::system_error(error, "write");
      writing_ = false;
      if (--owed_ > 0) write();
    });
  }

  Load& load_;
  websocket::stream<Socket> stream_;
  beast::flat_buffer buffer_{};
  std::size_t owed_ = 0;
  bool writing_ = false;
};

void ask_again(asio::steady_timer& timer, Measurement& measurement, Load& load) {
  timer.expires_after(Measurement::interval);
  timer.async_wait([&](error_code) {
    if (measurement.is_over(load.replies)) return load.context.stop();
    ask_again(timer, measurement, load);
  });
}

void run(const ClientOptions& options) {
  Load load(options);
  const Address address = Address::of(options.url);
  asio::ip::tcp::resolver resolver(load.context);
  const auto found = resolver.resolve(address.host, address.port);
  std::deque<Connection> connections;
  for (std::size_t i = 0; i < options.connections; ++i) {
    connections.emplace_back(load, address, found);
  }
  for (Connection& connection : connections) connection.start();

  Measurement measurement(options);
  asio::steady_timer timer(load.context);
  ask_again(timer, measurement, load);
  load.context.run();
}

}  // namespace

int main(int argc, char** argv) {
  return tern::bench::client_main(argc, argv, "beast_client", run);
}
