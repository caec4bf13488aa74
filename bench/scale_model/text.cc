// Formats numbers. The same function makes each number of the tables.
#include "scale_model/text.h"

#include <cmath>
#include <cstdio>

namespace tern::bench {

std::string spaced(double value) {
  std::string digits = std::to_string(std::llround(value));
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, " ");
  return digits;
}

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string three_digits(double value) {
  if (value < 9.995) return fixed(value, 2);
  if (value < 99.95) return fixed(value, 1);
  double unit = 1;
  while (value / unit >= 999.5) unit *= 10;
  return spaced(std::round(value / unit) * unit);
}

}  // namespace tern::bench
