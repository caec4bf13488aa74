// Which path is served by what. Filled before the workers run, then only read.
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

/// What is served at one path: a page, a WebSocket, or both.
struct Route {
  UniqueFunction<Response(const Request&)> page{};
  // A WebSocket: a session type with its constructor, or a function that decides.
  const connection::SessionType* type = nullptr;
  UniqueFunction<void(void*, const Request&)> construct{};
  bool reads_request = true;  // the constructor does
  Accept accept{};
  UniqueFunction<void(Upgrade)> decide{};
  std::uint16_t id = 0;  // see Router::path_of

  bool is_websocket() const noexcept { return type != nullptr || decide; }
};

class Router {
 public:
  enum class Kind : std::uint8_t { page, websocket };
  /// The route of this path, which is to have a page or a WebSocket from now on; made if there is
  /// none. A path that can never work, or that has one of this kind already, is a problem.
  Route& add(std::string path, Kind kind);
  /// Remembers the first problem: why the server must not listen.
  void complain(std::string_view path, Kind kind, std::string_view why);
  const std::string& problem() const noexcept { return problem_; }
  /// Null when nothing is served there.
  Route* find(std::string_view path) noexcept;
  /// The path of the route of this id; empty for 0, which all beyond 65 535 routes have.
  std::string_view path_of(std::uint16_t id) const noexcept;

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::unordered_map<std::string, Route, Hash, std::equal_to<>> routes_{};
  std::string problem_{};
  std::vector<std::string_view> paths_{};  // by id, from 1 on; the map's keys stay where they are
};

}  // namespace tern::server
