// Each worker has a socket of its own at each place. The sockets of an address share its port
// (SO_REUSEPORT), and the kernel gives each connection to one of them. A Unix socket and an
// inherited socket have one queue for all workers, so the workers have duplicates of one socket.
#include "server/places.h"

#include "base/last_error.h"
#include "net/address.h"
#include "net/resolver.h"
#include "net/socket.h"
#include "server/validate.h"

#include <chrono>
#include <utility>

namespace tern::server {
namespace {

constexpr std::chrono::seconds time_to_resolve(10);
constexpr std::string_view unix_prefix = "unix:";

Result<void> duplicate_for_all(Place& place, net::Fd first, std::size_t workers) {
  place.sockets.push_back(std::move(first));
  while (place.sockets.size() < workers) {
    net::Opened copy = net::duplicate(place.sockets.front().get());
    if (!copy) return Error(copy.error, "listen " + place.name);
    place.sockets.push_back(std::move(copy.fd));
  }
  return {};
}

// ---- the three kinds of places

Result<Place> open_unix(std::string_view path, const ServerOptions& options, std::size_t workers) {
  Place place{.kind = {.is_unix = true}, .name = std::string(unix_prefix).append(path)};
  net::UnixListener opened = net::listen_unix(path, options.unix_mode);
  if (opened.error == std::errc::file_exists) {
    return Error::described(opened.error,
                            "listen " + place.name + ": a file that is no socket has this path");
  }
  if (opened.error) return Error(opened.error, "listen " + place.name);
  place.file = std::move(opened.file);
  if (auto shared = duplicate_for_all(place, std::move(opened.fd), workers); !shared) {
    return shared.error();
  }
  return place;
}

Result<Place> open_inherited(int descriptor, const std::string& name, std::size_t workers) {
  std::string where = "descriptor " + std::to_string(descriptor);
  if (!name.empty()) where += " (" + name + ')';
  net::Opened opened = net::duplicate_listener(descriptor);
  if (!opened) {
    if (opened.error != std::errc::invalid_argument) return Error(opened.error, "listen " + where);
    return Error::described(opened.error, "listen: " + where + " is not a listening socket");
  }
  Place place{.kind = {.is_unix = net::is_unix(opened.fd.get()), .handed_over = true},
              .name = net::local_name(opened.fd.get())};
  if (!place.kind.is_unix) {
    net::set_nodelay(opened.fd.get());
    place.port = net::local_address(opened.fd.get()).port();
  }
  if (auto shared = duplicate_for_all(place, std::move(opened.fd), workers); !shared) {
    return shared.error();
  }
  return place;
}

Result<Place> open_address(net::Address address, net::PortUse use, std::size_t workers) {
  const std::string where = "listen " + address.to_string();
  Place place;
  for (std::size_t i = 0; i < workers; ++i) {
    net::Opened socket = net::listen_tcp(address, use);
    if (!socket) return Error(socket.error, where);
    net::set_nodelay(socket.fd.get());  // accepted sockets inherit this
    const net::Address local = net::local_address(socket.fd.get());
    if (local.port() == 0) return Error(base::last_error(), where);
    address.set_port(local.port());
    use = net::PortUse::join;
    place.sockets.push_back(std::move(socket.fd));
  }
  place.name = address.to_string();
  place.port = address.port();
  return place;
}

// ---- one listener

// A name may have addresses that this machine does not have at the moment.
bool is_elsewhere(std::error_code error) noexcept {
  return error == std::errc::address_not_available ||
         error == std::errc::address_family_not_supported;
}

// All addresses of a name have one port, also if the system chooses it.
Result<void> open_host(std::vector<Place>& places, const tern::Listener& listener,
                       const ServerOptions& options, std::size_t workers) {
  const auto deadline = std::chrono::steady_clock::now() + time_to_resolve;
  auto found = net::resolve(numeric_host(listener.host), listener.port, deadline);
  if (!found) return Error::described(found.error().code(), "listen: " + found.error().message());
  const auto use = options.share_port ? net::PortUse::join : net::PortUse::first;
  std::uint16_t port = listener.port;
  Result<void> opened = Errc::name_not_resolved;
  for (net::Address& address : *found) {
    address.set_port(port);
    auto place = open_address(address, use, workers);
    if (place) {
      port = place->port;
      places.push_back(*std::move(place));
      opened = {};
    } else if (!is_elsewhere(place.error().code())) {
      return std::move(place).error();
    } else if (!opened) {
      opened = std::move(place).error();
    }
  }
  return opened;
}

Result<void> open_listener(std::vector<Place>& places, const tern::Listener& listener,
                           const ServerOptions& options, std::size_t workers) {
  const std::size_t before = places.size();
  if (const std::string_view path = unix_path(listener.host);
      listener.descriptor >= 0 || !path.empty()) {
    auto place = listener.descriptor >= 0
                     ? open_inherited(listener.descriptor, listener.name, workers)
                     : open_unix(path, options, workers);
    if (!place) return std::move(place).error();
    places.push_back(*std::move(place));
  } else if (auto opened = open_host(places, listener, options, workers); !opened) {
    return opened;
  }
  for (std::size_t i = before; i < places.size(); ++i) {
    places[i].kind.secure = listener.tls && options.tls.has_value();
  }
  return {};
}

}  // namespace

std::string_view unix_path(std::string_view host) noexcept {
  return host.starts_with(unix_prefix) ? host.substr(unix_prefix.size()) : std::string_view();
}

std::vector<tern::Listener> listeners_of(const ServerOptions& options) {
  if (!options.listeners.empty()) return options.listeners;
  return {tern::Listener{.host = options.host, .port = options.port}};
}

Result<std::vector<Place>> open_places(const ServerOptions& options, std::size_t workers) {
  std::vector<Place> places;
  for (const tern::Listener& listener : listeners_of(options)) {
    if (auto opened = open_listener(places, listener, options, workers); !opened) {
      return opened.error();
    }
  }
  return places;
}

}  // namespace tern::server
