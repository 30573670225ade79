# Writes OUT, a C++ source with the FUNCTION of src/api/web_files.h that gives the FILES (a list) as
# arrays of bytes:
#   cmake -DOUT=web_files.cpp -DFUNCTION=web_files "-DFILES=a.js;b.css" -P conf/embed.cmake
# Whole-line comments, indentation, and blanks around operators stay behind: nobody needs them
# over a slow line. So no file may have a text that goes over several lines, or shows code.
set(arrays "")
set(rows "")
set(number 0)
foreach(file ${FILES})
  get_filename_component(name ${file} NAME)
  file(READ ${file} text)
  string(REGEX REPLACE "\n[ ]+" "\n" text "\n${text}")
  string(REGEX REPLACE "\n//[^\n]*" "" text "${text}")
  string(REGEX REPLACE "\n/[*][^\n]*[*]/" "" text "${text}")
  string(REGEX REPLACE "\n\n+" "\n" text "${text}")
  string(REGEX REPLACE "^\n" "" text "${text}")
  if(name MATCHES "[.]json$")
    # A blank may stand in a text; a line's end never does.
    string(REPLACE "\n" "" text "${text}")
  elseif(name MATCHES "[.]css$")
    string(REGEX REPLACE "([{};,])[ \n]" "\\1" text "${text}")
    string(REPLACE " {" "{" text "${text}")
    string(REPLACE ": " ":" text "${text}")
  else()
    foreach(sign "=>" "=" "===" "!==" "&&" "||" ">=" "<=" "+=" "?" ":" "+" "-" "*")
      string(REPLACE " ${sign} " "${sign}" text "${text}")
    endforeach()
    string(REGEX REPLACE "(if|for|catch) [(]" "\\1(" text "${text}")
    foreach(pair ") {" "), " ", {" ": {" "} else" "else {")
      string(REPLACE " " "" joined "${pair}")
      string(REPLACE "${pair}" "${joined}" text "${text}")
    endforeach()
    string(REGEX REPLACE "([{(,;])\n" "\\1" text "${text}")
  endif()
  string(HEX "${text}" bytes)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  # No compiler likes lines of 100,000 characters.
  string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
  string(APPEND arrays "constexpr unsigned char kFile${number}[] = {\n${bytes}};\n")
  string(APPEND rows "    {\"${name}\", kFile${number}},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUT} "#include \"api/web_files.h\"

namespace clickmill::api {
namespace {

${arrays}constexpr WebFile kFiles[] = {
${rows}};

}  // namespace

std::span<const WebFile> ${FUNCTION}() { return kFiles; }

}  // namespace clickmill::api
")
