# `cpack` in the build directory makes sluice_VERSION_amd64.deb. One package for the daemon's machine and
# the broker's: that one needs `sluice crl` beside the plugin.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME sluice)
set(CPACK_PACKAGE_CONTACT "The Sluice authors <sluice@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "gate between an MQTT fleet and PostgreSQL")
set(CPACK_PACKAGE_DESCRIPTION
"Devices publish telemetry; Sluice takes every message off the broker, proves
who sent it, writes what is good to PostgreSQL in bulk, and keeps what is not,
with the reason, where an operator can review and replay it.
.
It brings the daemon, a plugin for Mosquitto that says who has sent a message,
the tools for certificates and for the quarantine, and a load test.")
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers, systemd | systemd-standalone-tmpfiles")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "mosquitto (>= 2.0), postgresql, prometheus")
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(debian ${PROJECT_SOURCE_DIR}/deploy/debian)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    ${debian}/conffiles ${debian}/postinst ${debian}/prerm ${debian}/postrm)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

# Two parts of install.cmake, each with the directory it belongs to.
set(CPACK_PACKAGING_INSTALL_PREFIX /)
set(CPACK_INSTALL_CMAKE_PROJECTS
    "${CMAKE_BINARY_DIR};sluice;sluice;/usr;${CMAKE_BINARY_DIR};sluice;etc;/")
include(CPack)
