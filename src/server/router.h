// The routes of a server by path. They are added before the workers run and then only read.
#pragma once

#include "tern/connection.h"
#include "tern/engine.h"
#include "tern/http.h"
#include "tern/server.h"
#include "tern/unique_function.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tern::server {

/// The page, the WebSocket or both at one path.
struct Route {
  UniqueFunction<Response(const Request&)> page{};
  // A WebSocket has a session type with its constructor, or a function that decides.
  const connection::SessionType* type = nullptr;
  UniqueFunction<void(void*, const Request&)> construct{};
  bool reads_request = true;  // the constructor takes the Request
  Accept accept{};
  UniqueFunction<void(Upgrade)> decide{};
  std::uint16_t id = 0;  // see Router::path_of

  bool is_websocket() const noexcept { return type != nullptr || decide; }
};

class Router {
 public:
  enum class Kind : std::uint8_t { page, websocket };
  /// Returns the route of this path, so that the caller gives it a page or a WebSocket; makes it if
  /// there is none. It is a problem if the path can never work or has one of this kind already.
  Route& add(std::string path, Kind kind);
  /// Keeps the first problem, because of which the server must not listen.
  void complain(std::string_view path, Kind kind, std::string_view why);
  const std::string& problem() const noexcept { return problem_; }
  /// Returns null if the path has no route.
  Route* find(std::string_view path) noexcept;
  /// The path of the route with this id; empty for 0, which is the id of all routes after the first
  /// 65 535.
  std::string_view path_of(std::uint16_t id) const noexcept;

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::unordered_map<std::string, Route, Hash, std::equal_to<>> routes_{};
  std::string problem_{};
  std::vector<std::string_view>
      paths_{};  // by id, from 1 on; views of the map's keys, which never move
};

}  // namespace tern::server
