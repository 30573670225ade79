#include "http/multipart.h"

#include <catch2/catch.hpp>
#include <string>

#include "http/media_type.h"

namespace clickmill::http {
namespace {

constexpr std::string_view kType = "multipart/form-data; boundary=b0";

/// `name=value;` of each field, or "refused".
std::string fields(std::string_view body, std::string_view type = kType) {
  const auto params = parse_multipart(type, body);
  if (!params) return "refused";
  std::string out;
  for (const auto& [name, value] : params->items) out += name + '=' + value + ';';
  return out;
}

std::string part(const std::string& value, const std::string& head = R"(form-data; name="a")") {
  return "--b0\r\nContent-Disposition: " + head + "\r\n\r\n" + value + "\r\n";
}

}  // namespace

TEST_CASE("media type: the type alone, in lower case", "[http]") {
  CHECK(media_type("Text/Plain;charset=UTF-8") == "text/plain");
  CHECK(media_type(" application/json ") == "application/json");
  CHECK(media_type("").empty());
  CHECK(media_type(";").empty());
}

TEST_CASE("media type: parameters, quoted or not", "[http]") {
  const std::string type = R"(a/b; charset=utf-8;Boundary="x;\"y\\"; z = 1 ;empty=)";
  CHECK(header_parameter(type, "charset") == "utf-8");
  CHECK(header_parameter(type, "boundary") == R"(x;"y\)");
  CHECK(header_parameter(type, "z") == "1");
  CHECK(header_parameter(type, "empty") == "");
  CHECK_FALSE(header_parameter(type, "a/b"));
  CHECK_FALSE(header_parameter(type, "none"));
  CHECK_FALSE(header_parameter("", "none"));
  CHECK(header_parameter("a; b=\"open", "b") == "open");
}

TEST_CASE("multipart: fields are read in order, whatever is in them", "[http]") {
  CHECK(fields(part("1") + part("2", "form-data; name=b") + "--b0--\r\n") == "a=1;b=2;");
  CHECK(fields(part("") + "--b0--") == "a=;");
  CHECK(fields("--b0--\r\n") == "");
  CHECK(fields(part("x+y%41\r\n\r\nz") + "--b0--\r\n") == "a=x+y%41\r\n\r\nz;");
  CHECK(fields(part("x--b0") + "--b0--\r\n") == "a=x--b0;");
  CHECK(fields(part("\r\n--b00\r\n--b0x") + "--b0--\r\n") == "a=\r\n--b00\r\n--b0x;");
  CHECK(fields("preamble\r\n" + part("1") + "--b0--\r\nepilogue") == "a=1;");
  CHECK(fields("--b0 \t\r\nContent-Type: text/plain\r\ncontent-disposition:form-data; "
               "name=\"a\"\r\n\r\n1\r\n--b0--") == "a=1;");
  CHECK(fields("--b0\nContent-Disposition: form-data; name=\"a\"\n\n1\n--b0--\n") == "a=1;");
}

TEST_CASE("multipart: files and parts without a name are left out", "[http]") {
  CHECK(fields(part("x", R"(form-data; name="f"; filename="f.txt")") + part("1") + "--b0--") ==
        "a=1;");
  CHECK(fields(part("x", R"(form-data; name="f"; filename="")") + "--b0--") == "");
  CHECK(fields(part("x", "form-data; name=f; filename*=UTF-8''f") + "--b0--") == "");
  CHECK(fields(part("x", "form-data") + part("1") + "--b0--") == "a=1;");
  CHECK(fields("--b0\r\n\r\nx\r\n--b0--") == "");
}

TEST_CASE("multipart: without a boundary or cut before its end it is refused", "[http]") {
  CHECK(fields(part("1") + "--b0--", "multipart/form-data") == "refused");
  CHECK(fields(part("1") + "--b0--", "multipart/form-data; boundary=") == "refused");
  CHECK(fields(part("1") + "--b0--", "multipart/form-data; boundary=" + std::string(71, 'b')) ==
        "refused");
  CHECK(fields(part("1") + "--b0--", "multipart/form-data; boundary=b1") == "refused");
  CHECK(fields("") == "refused");
  const std::string whole = part("1") + part("2") + "--b0--";
  for (size_t length = 0; length < whole.size(); ++length) {
    CAPTURE(length);
    CHECK(fields(std::string_view(whole).substr(0, length)) == "refused");
  }
}

}  // namespace clickmill::http
