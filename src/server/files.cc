// Which file answers a request, and with which fields. The rules stand in http: which file a path
// names (file_path.h), its coding, its type, conditions and ranges. net::Folder keeps the path
// inside of the folder.
//
// A strong entity tag stands for each byte of the file. It is made of the time of the last change
// in nanoseconds, the size and the coding. So it is the same on each machine that has the same
// copy.
#include "server/files.h"

#include "http/accept_encoding.h"
#include "http/conditional.h"
#include "http/content_type.h"
#include "http/date.h"
#include "http/file_path.h"
#include "http/range.h"
#include "http/token.h"
#include "server/file_source.h"
#include "server/pattern.h"
#include "server/validate.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <span>
#include <utility>

namespace tern::server {

using http::Coding;
using http::RangeChoice;
using net::OpenedFile;

namespace {

constexpr std::string_view methods = "GET, HEAD, OPTIONS";

struct CodedName {
  Coding coding;
  std::string_view suffix;
  std::string_view name;  // in Content-Encoding
};
constexpr std::array coded_names{CodedName{Coding::br, ".br", "br"},
                                 CodedName{Coding::gzip, ".gz", "gzip"}};

std::string_view name_of(Coding coding) noexcept {
  for (const CodedName& each : coded_names) {
    if (each.coding == coding) return each.name;
  }
  return {};
}

std::string hex(std::uint64_t number) {
  std::array<char, 16> digits;
  return {digits.data(),
          std::to_chars(digits.data(), digits.data() + digits.size(), number, 16).ptr};
}

std::string etag_of(const net::FileFacts& facts, Coding coding) {
  const auto changed = static_cast<std::uint64_t>(facts.modified.time_since_epoch().count());
  std::string etag = '"' + hex(changed) + '-' + hex(facts.size);
  if (coding != Coding::identity) etag.append("-").append(name_of(coding));
  return etag += '"';
}

// A file must not have been changed later than the answer was made (RFC 9110 §8.8.2.1).
std::chrono::sys_seconds time_of(const net::FileFacts& facts, std::chrono::sys_seconds now) {
  return std::min(std::chrono::floor<std::chrono::seconds>(facts.modified), now);
}

std::chrono::sys_seconds wall_clock() noexcept {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

std::string_view file_name_of(std::string_view path) noexcept {
  return path.substr(path.rfind('/') + 1);  // npos + 1 is 0
}

// The system has no descriptor or memory for now, and the file may well exist.
bool is_out_of_room(std::error_code error) noexcept {
  return error == std::errc::too_many_files_open ||
         error == std::errc::too_many_files_open_in_system ||
         error == std::errc::not_enough_memory ||
         error == std::errc::resource_unavailable_try_again;
}

// Conditions and ranges depend on the version of the file, so their answers are made anew.
bool asks_for_whole_file(const Request& request) noexcept {
  if (request.method() != "GET" && request.method() != "HEAD") return false;
  return std::ranges::none_of(request.headers(), [](const HeaderField& field) {
    return http::iequals(field.name, "Range") || http::iequals(field.name.substr(0, 3), "If-");
  });
}

// Nothing if the file cannot be read now, or is not the one that was opened any more.
std::optional<std::string> read_whole(int fd, std::uint64_t size) {
  std::string text(static_cast<std::size_t>(size), '\0');
  std::size_t have = 0;
  while (have < text.size()) {
    const auto got = net::read_at(fd, have, std::as_writable_bytes(std::span(text)).subspan(have));
    if (got.value_or(0) == 0) return {};
    have += *got;
  }
  return text;
}

Response unavailable() { return Response::status(503).header("Retry-After", "1"); }

// "/docs" is the page of the folder "/docs/". Without the slash the links of that page would lead
// to other places.
Response redirect_to_folder(const Request& request) {
  const std::string_view target = request.target();
  std::string place(request.path());
  place.append("/").append(target.substr(request.path().size()));
  return Response::status(301).header("Location", std::move(place));
}

}  // namespace

/// A file that answers.
struct FileSite::Found {
  enum class Kind : std::uint8_t { nothing, file, redirect };
  Kind kind = Kind::nothing;
  OpenedFile opened{};
  std::string path{};  // inside of the folder, without the suffix of a coding
  Coding coding = Coding::identity;
  bool is_choice = false;  // other files of the folder would have gone before it
};

FileSite::FileSite(std::string prefix, std::string folder, FilesOptions options)
    : prefix_(std::move(prefix)), folder_path_(std::move(folder)), options_(std::move(options)) {
  while (prefix_.ends_with('/')) prefix_.pop_back();
}

std::string FileSite::why_invalid() const {
  if (!prefix_.empty()) {
    if (std::string why = why_invalid_path(prefix_); !why.empty()) return why;
    if (is_pattern(prefix_)) {
      return "a prefix has no parameters; the characters { and } themselves are %7B and %7D";
    }
  }
  for (const std::string& name : options_.index) {
    if (name.empty() || name.find('/') != std::string::npos)
      return "index \"" + name + "\" is not the name of a file";
  }
  for (const auto& [pattern, value] : options_.cache_control) {
    if (pattern.empty() || !http::is_field_value(value) || value.empty()) {
      std::string why = "cache_control {\"";
      return why.append(pattern).append("\", \"").append(value).append("\"} cannot be sent");
    }
  }
  for (const auto& [extension, type] : options_.content_types) {
    if (extension.empty() || extension.front() == '.')
      return "content_types: an extension has no dot: \"" + extension + '"';
    if (type.empty() || !http::is_field_value(type))
      return "content_types: \"" + type + "\" cannot be sent";
  }
  return {};
}

Result<void> FileSite::open() {
  if (open_) return {};
  if (const auto error = folder_.open(folder_path_)) {
    return Error(error, "files \"" + prefix_ + "/\": open the folder " + folder_path_);
  }
  open_ = true;
  return {};
}

bool FileSite::covers(std::string_view path) const noexcept {
  if (!path.starts_with(prefix_)) return false;
  const std::string_view rest = path.substr(prefix_.size());
  return rest.empty() || rest.front() == '/';
}

// ---- which file

FileAnswer FileSite::answer(const Request& request, FileCache& cache) const {
  // With copies in other codings, an answer depends on more than one file.
  const bool may_keep = !options_.precompressed && asks_for_whole_file(request);
  if (may_keep) {
    if (const Response* const kept = cache.find(request.path(), folder_)) return {.kept = kept};
  }
  Found found = find(request);
  if (is_out_of_room(found.opened.error))
    return {.response = unavailable(), .error = found.opened.error};
  if (found.kind == Found::Kind::nothing) return {};
  if (request.method() == "OPTIONS") {
    return {.response = Response::status(204).header("Allow", std::string(methods))};
  }
  if (request.method() != "GET" && request.method() != "HEAD") {
    return {.response = Response::status(405).header("Allow", std::string(methods))};
  }
  if (found.kind == Found::Kind::redirect) return {.response = redirect_to_folder(request)};
  if (may_keep && !found.is_choice && request.method() == "GET") {
    if (const Response* const kept = keep(request, found, cache)) return {.kept = kept};
  }
  if (options_.precompressed) choose_coding(request, found);
  return {.response = respond(request, std::move(found))};
}

FileSite::Found FileSite::find(const Request& request) const {
  Found found;
  auto named = http::file_path(request.path().substr(prefix_.size()));
  if (!named) return found;
  found.path = std::move(named->path);
  found.opened = folder_.open_file(found.path);
  switch (found.opened.kind) {
    case OpenedFile::Kind::regular:
      if (!named->is_folder) found.kind = Found::Kind::file;
      break;
    case OpenedFile::Kind::folder:
      if (!enter_folder(found)) break;
      found.kind = named->is_folder ? Found::Kind::file : Found::Kind::redirect;
      break;
    case OpenedFile::Kind::none:
    case OpenedFile::Kind::other:
      break;
  }
  return found;
}

// Goes on to the page of a folder. Returns false if it has none.
bool FileSite::enter_folder(Found& found) const {
  for (const std::string& name : options_.index) {
    const std::string path = found.path.empty() ? name : found.path + '/' + name;
    OpenedFile page = folder_.open_file(path);
    const bool fits = page.kind == OpenedFile::Kind::regular;
    if (!fits && !is_out_of_room(page.error)) continue;
    found.opened = std::move(page);
    found.path = path;
    found.is_choice = &name != &options_.index.front();
    return fits;
  }
  return false;
}

// Takes the file with the coding that the client wants most, if there is one that is not older than
// the plain file.
void FileSite::choose_coding(const Request& request, Found& found) const {
  const auto qualities = http::read_accept_encoding(request.headers());
  const net::FileFacts plain = found.opened.facts;
  const std::string path = found.path;
  for (const CodedName& each : coded_names) {
    if (!qualities.prefers(each.coding)) continue;
    if (qualities.of(each.coding) <= qualities.of(found.coding) &&
        found.coding != Coding::identity) {
      continue;
    }
    OpenedFile coded = folder_.open_file(path + std::string(each.suffix));
    if (coded.kind != OpenedFile::Kind::regular || coded.facts.modified < plain.modified) continue;
    found.opened = std::move(coded);
    found.coding = each.coding;
  }
}

// ---- the answer

// Reads the whole file, and keeps the answer. Returns null if the file is too large, was changed
// lately, or cannot be read; then it is answered like any other.
const Response* FileSite::keep(const Request& request, const Found& found, FileCache& cache) const {
  const int fd = found.opened.fd.get();
  const auto before = net::identity_of(fd);
  if (!before || before->facts != found.opened.facts || !cache.takes(*before)) return nullptr;
  auto text = read_whole(fd, before->facts.size);
  if (!text || net::identity_of(fd) != before) return nullptr;
  Response response = Response::body(*std::move(text), std::string(type_of(found.path)))
                          .header("Accept-Ranges", "bytes");
  add_fields(response, found, etag_of(before->facts, found.coding),
             std::chrono::floor<std::chrono::seconds>(before->facts.modified));
  return &cache.keep(request.path(), found.path, *before, std::move(response));
}

Response FileSite::respond(const Request& request, Found&& found) const {
  const auto modified = time_of(found.opened.facts, wall_clock());
  std::string etag = etag_of(found.opened.facts, found.coding);
  switch (http::check_conditions(request, {.etag = etag, .modified = modified})) {
    case http::Condition::failed:
      return Response::status(412);
    case http::Condition::not_modified: {
      Response response = Response::status(304);
      add_fields(response, found, std::move(etag), modified);
      return response;
    }
    case http::Condition::holds:
      break;
  }
  return with_body(request, std::move(found), std::move(etag), modified);
}

Response FileSite::with_body(const Request& request, Found&& found, std::string etag,
                             std::chrono::sys_seconds modified) const {
  const std::uint64_t size = found.opened.facts.size;
  RangeChoice range;
  const auto wanted = http::only(request.headers(), "Range");
  // A range has a meaning only for GET (RFC 9110 §14.2).
  if (wanted && request.method() == "GET" &&
      http::range_counts(request, {.etag = etag, .modified = modified}, wall_clock())) {
    range = http::choose_range(*wanted, size);
  }
  if (range.kind == RangeChoice::Kind::unsatisfiable) {
    return Response::status(416).header("Content-Range", http::content_range(range, size));
  }
  const bool part = range.kind == RangeChoice::Kind::part;
  Response response = Response::pulled(
      part ? 206 : 200,
      std::make_shared<FileSource>(std::move(found.opened.fd), found.opened.facts, range.first,
                                   part ? range.length : size, folder_path_ + '/' + found.path));
  response.header("Content-Type", std::string(type_of(found.path)));
  if (part) response.header("Content-Range", http::content_range(range, size));
  response.header("Accept-Ranges", "bytes");
  if (found.coding != Coding::identity)
    response.header("Content-Encoding", std::string(name_of(found.coding)));
  add_fields(response, found, std::move(etag), modified);
  return response;
}

// The fields that a 304 has as well (RFC 9110 §15.4.5).
void FileSite::add_fields(Response& response, const Found& found, std::string etag,
                          std::chrono::sys_seconds modified) const {
  const http::DateText date = http::format_date(modified);
  response.header("ETag", std::move(etag));
  response.header("Last-Modified", std::string(date.data(), date.size()));
  if (const auto value = cache_control_of(found.path); !value.empty())
    response.header("Cache-Control", std::string(value));
  if (options_.precompressed) response.header("Vary", "Accept-Encoding");
}

std::string_view FileSite::cache_control_of(std::string_view path) const noexcept {
  for (const auto& [pattern, value] : options_.cache_control) {
    const bool of_path = pattern.find('/') != std::string::npos;
    if (http::fits_pattern(pattern, of_path ? path : file_name_of(path))) return value;
  }
  return {};
}

std::string_view FileSite::type_of(std::string_view path) const noexcept {
  const std::string_view name = file_name_of(path);
  for (const auto& [extension, type] : options_.content_types) {
    if (name.size() > extension.size() && name[name.size() - extension.size() - 1] == '.' &&
        http::iequals(name.substr(name.size() - extension.size()), extension)) {
      return type;
    }
  }
  return http::content_type_of(name);
}

// ---- all folders

void FileSites::add(std::string prefix, std::string folder, FilesOptions options) {
  const std::string given = prefix;
  std::string why;
  if (!prefix.starts_with('/')) why = "a prefix begins with '/'";
  auto site = std::make_unique<FileSite>(std::move(prefix), std::move(folder), std::move(options));
  if (why.empty()) why = site->why_invalid();
  const auto place = std::ranges::find_if(
      sites_, [&](const auto& each) { return each->prefix().size() <= site->prefix().size(); });
  for (const auto& each : sites_) {
    if (why.empty() && each->prefix() == site->prefix()) why = "this prefix was given before";
  }
  sites_.insert(place, std::move(site));
  if (problem_.empty() && !why.empty()) problem_ = "files \"" + given + "\": " + why;
}

Result<void> FileSites::open() {
  for (const auto& site : sites_) {
    if (auto opened = site->open(); !opened) return opened;
  }
  return {};
}

const FileSite* FileSites::find(std::string_view path) const noexcept {
  for (const auto& site : sites_) {
    if (site->covers(path)) return site.get();
  }
  return nullptr;
}

}  // namespace tern::server
