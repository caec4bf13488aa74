// Groups 12 and 13: messages are sent one at a time and echoed. Each one is the next window of a
// sample. Sizes and fragments are those of Autobahn. The samples are made here, with the same kinds
// and lengths. A case has 1000 messages, or fewer that have deflate_bytes() together.
#include "conformance/cases.h"
#include "support/zlib_peer.h"

#include <algorithm>
#include <array>

namespace tern::conformance {
namespace {

struct Shape {
  std::size_t size;
  std::size_t fragment;
};

constexpr std::array<Shape, 18> shapes{{{16, 0},
                                        {64, 0},
                                        {256, 0},
                                        {1024, 0},
                                        {4096, 0},
                                        {8192, 0},
                                        {16384, 0},
                                        {32768, 0},
                                        {65536, 0},
                                        {131072, 0},
                                        {8192, 256},
                                        {16384, 256},
                                        {32768, 256},
                                        {65536, 256},
                                        {131072, 256},
                                        {131072, 1024},
                                        {131072, 4096},
                                        {131072, 32768}}};

const Shape& shape_of(std::string_view id) {
  const std::string number(id.substr(id.rfind('.') + 1));
  return shapes[static_cast<std::size_t>(std::stoi(number)) - 1];
}

std::string words_of(std::initializer_list<std::string_view> words, std::size_t size,
                     std::string_view between) {
  const std::vector<std::string_view> all(words);
  const std::string dice = test::noise(size, 7);
  std::string text;
  for (std::size_t i = 0; text.size() < size; ++i) {
    text += all[static_cast<unsigned char>(dice[i]) % all.size()];
    text += between;
  }
  return text;
}

// Samples 1 to 5: JSON, a bitmap, prose with characters of two bytes, HTML, data that hardly
// compresses.
const std::string& sample(int number) {
  static const std::array<std::string, 5> samples = [] {
    std::array<std::string, 5> made;
    made[0] = test::json(194'056);
    for (std::size_t i = 0; i < 263'222; ++i) {
      made[1] += static_cast<char>((i % 512) * (i / 512) / 700);
    }
    made[2] = words_of({"Über", "allen", "Gipfeln", "ist", "Ruh,", "in", "Wipfeln", "spürest", "du",
                        "kaum", "einen", "Hauch;", "Vöglein", "schweigen", "Walde.", "größer"},
                       222'218, " ");
    made[3] = words_of({"<p class=\"a\">", "</p>", "<a href=\"/one\">", "</a>", "text", "ὅτι",
                        "&amp;", "<li>", "</li>"},
                       263'647, "\n");
    made[4] = test::noise(1'042'328);
    return made;
  }();
  return samples[static_cast<std::size_t>(number - 1)];
}

// The end of the next window of that many characters (or bytes).
std::size_t end_of(const std::string& text, std::size_t begin, std::size_t size, bool is_text) {
  std::size_t at = begin;
  while (at < text.size() && size > 0) {
    ++at;
    while (is_text && at < text.size() && (text[at] & 0xC0) == 0x80) ++at;
    --size;
  }
  return at;
}

Script echoes(int number, std::size_t size) {
  const bool is_text = number != 2 && number != 5;
  const std::string& text = sample(number);
  const std::size_t count = std::clamp<std::size_t>(deflate_bytes() / size, 4, 1000);
  Script script;
  std::size_t begin = 0;
  for (std::size_t i = 1; i <= count; ++i) {
    std::size_t end = end_of(text, begin, size, is_text);
    std::string payload = text.substr(begin, end - begin);
    if (end == text.size()) {  // the window continues at the beginning of the sample
      const std::size_t missing = size - std::min(size, payload.size());
      end = is_text ? 0 : end_of(text, 0, missing, false);
      payload += text.substr(0, end);
    }
    begin = end;
    const Frame message{is_text ? 1u : 2u, std::move(payload)};
    script.expected.push_back(to_string(message));
    script.steps.push_back(send({message}));
    script.steps.push_back(await(i));
  }
  return script;
}

}  // namespace

std::size_t& deflate_bytes() {
  static std::size_t bytes = std::size_t{256} << 10;
  return bytes;
}

std::size_t deflate_fragment_of(std::string_view id) { return shape_of(id).fragment; }

std::size_t deflate_size_of(std::string_view id) { return shape_of(id).size; }

void add_deflate_cases(std::vector<Case>& cases) {
  const auto add = [&](const std::string& subgroup, int number) {
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      const std::size_t size = shapes[i].size;
      cases.push_back(
          {subgroup + '.' + std::to_string(i + 1), [=] { return echoes(number, size); }});
    }
  };
  for (int number = 1; number <= 5; ++number) add("12." + std::to_string(number), number);
  for (int terms = 1; terms <= 7; ++terms) add("13." + std::to_string(terms), 1);
}

}  // namespace tern::conformance
