// The routes of a server by path. They are added before the workers run and then only read.
#pragma once

#include "tern/connection.h"
#include "tern/engine.h"
#include "tern/http.h"
#include "tern/server.h"
#include "tern/unique_function.h"

#include "server/files.h"
#include "server/pattern.h"
#include "server/route_tree.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tern::server {

/// The methods that a page may have. OPTIONS is answered for each path.
enum class Method : std::uint8_t { get, head, post, put, patch, del };
inline constexpr std::size_t method_count = 6;

/// Returns nothing for a method that no page may have. Methods are case-sensitive, RFC 9110 §9.1.
std::optional<Method> method_of(std::string_view name) noexcept;

/// A set of methods.
class MethodSet {
 public:
  void add(Method method) noexcept { bits_ |= bit(method); }
  void add(MethodSet other) noexcept { bits_ |= other.bits_; }
  bool has(Method method) const noexcept { return (bits_ & bit(method)) != 0; }
  bool empty() const noexcept { return bits_ == 0; }
  /// The value of Allow: these methods, HEAD if GET is one of them, and OPTIONS. RFC 9110 §10.2.1.
  std::string allow() const;

 private:
  static constexpr std::uint8_t bit(Method method) noexcept {
    return static_cast<std::uint8_t>(1u << static_cast<unsigned>(method));
  }
  std::uint8_t bits_ = 0;
};

/// Answers the requests of one method.
using Page = PageFunction;

/// The pages, the WebSocket or both at one path.
struct Route {
  std::array<Page, method_count> pages{};  // by Method
  MethodSet methods{};                     // that have a page
  // A WebSocket has a session type with its constructor, or a function that decides.
  const connection::SessionType* type = nullptr;
  UniqueFunction<void(void*, const Request&)> construct{};
  bool reads_request = true;  // the constructor takes the Request
  Accept accept{};
  UniqueFunction<void(Upgrade)> decide{};
  std::uint16_t id = 0;                        // see Router::path_of
  std::vector<std::string_view> parameters{};  // their names, in the order of the path

  bool is_websocket() const noexcept { return type != nullptr || decide; }
  bool has_pages() const noexcept { return !methods.empty(); }
  Page& page(Method method) noexcept { return pages[static_cast<std::size_t>(method)]; }
  /// Returns the page that answers this method, null if none does. HEAD is answered by the page of
  /// GET if it has no page of its own.
  Page* page_for(std::string_view method) noexcept;
};

/// The parameters of one request, named. Lifetime: the request.
class Parameters {
 public:
  std::span<const PathParameter> all() const noexcept { return {parameters_.data(), count_}; }
  void set(std::span<const std::string_view> names, const ParameterValues& values) noexcept;

 private:
  std::array<PathParameter, max_parameters> parameters_{};
  std::size_t count_ = 0;
};

class Router {
 public:
  /// The functions of Server that add something to a path. A page is added by its method.
  enum class Kind : std::uint8_t { get, head, post, put, patch, del, websocket };
  static constexpr Kind kind_of(Method method) noexcept { return static_cast<Kind>(method); }

  /// Returns the route of this path, so that the caller gives it a page or a WebSocket; makes it if
  /// there is none. It is a problem if the path can never work, or has one of this kind already.
  Route& add(std::string path, Kind kind);
  /// Gives a route of add() the page of a method.
  void set_page(Route& route, std::string_view path, Method method, Page page);
  /// Answers all requests that no route fits.
  void set_fallback(Page page);
  /// Keeps the first problem, because of which the server must not listen.
  void complain(std::string_view path, Kind kind, std::string_view why);
  const std::string& problem() const noexcept {
    return problem_.empty() ? files_.problem() : problem_;
  }

  /// Returns the route whose path is exactly this one; null if there is none. It goes before
  /// find_pattern().
  Route* find(std::string_view path) noexcept;
  /// Returns the route with parameters that fits this path; null if none does.
  Route* find_pattern(std::string_view path, Parameters& parameters) noexcept;
  /// Returns the page for requests that no route fits; null if there is none.
  Page* fallback() noexcept { return fallback_ ? &fallback_ : nullptr; }
  /// The folders of which the files answer requests that no route fits.
  FileSites& files() noexcept { return files_; }
  /// The methods of all pages.
  MethodSet methods() const noexcept { return methods_; }
  /// The path of the route with this id; empty for 0, which is the id of all routes after the first
  /// 65 535.
  std::string_view path_of(std::uint16_t id) const noexcept;

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  using Routes = std::unordered_map<std::string, Route, Hash, std::equal_to<>>;

  void place_pattern(std::string_view path, Route& route, Kind kind);
  void complain(std::string_view what) {
    if (problem_.empty()) problem_ = what;
  }

  Routes exact_{};
  Routes patterns_{};  // they have parameters; tree_ finds them
  RouteTree tree_{};
  FileSites files_{};
  Page fallback_{};
  MethodSet methods_{};
  std::string problem_{};
  std::vector<std::string_view>
      paths_{};  // by id, from 1 on; views of the maps' keys, which never move
};

}  // namespace tern::server
