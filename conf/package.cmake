# The Debian package of a node: what belongs to it, and how CPack makes it.
#   ./conf/build.sh release clickmill && cd build/release && cpack -G DEB

# The program is built before; nothing else is for the package's sake.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)
set(deb ${CMAKE_CURRENT_LIST_DIR}/deb)
install(TARGETS clickmill RUNTIME DESTINATION bin COMPONENT node)
# As dpkg's own tools do it: the same page gives the same bytes.
install(CODE "execute_process(COMMAND gzip -9n -c ${CMAKE_CURRENT_LIST_DIR}/clickmill.1
  OUTPUT_FILE ${CMAKE_CURRENT_BINARY_DIR}/clickmill.1.gz COMMAND_ERROR_IS_FATAL ANY)"
  COMPONENT node)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/clickmill.1.gz DESTINATION share/man/man1
  COMPONENT node)
# A plain `cmake --install` leaves the machine's own folders alone.
install(FILES ${CMAKE_CURRENT_LIST_DIR}/clickmill.service DESTINATION /lib/systemd/system
  COMPONENT node EXCLUDE_FROM_ALL)
install(FILES ${deb}/clickmill.json DESTINATION /etc/clickmill COMPONENT node EXCLUDE_FROM_ALL)
install(FILES ${CMAKE_CURRENT_LIST_DIR}/clickmill.json ${deb}/copyright
  DESTINATION share/doc/clickmill COMPONENT node)

set(CPACK_GENERATOR DEB)
set(CPACK_COMPONENTS_ALL node)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_NAME clickmill)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "ad click aggregator that counts every click exactly once")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "clickmill answers every ad click with a redirect, records it durably, counts it
exactly once, and lets advertisers query the counts: one process per node, alone or three of them.")
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "clickmill <clickmill@localhost>")
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
# The libraries that the program is linked with come first, by dpkg-shlibdeps.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "adduser, init-system-helpers (>= 1.52), tzdata")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
  ${deb}/postinst ${deb}/prerm ${deb}/postrm ${deb}/conffiles)
include(CPack)
