# What `cmake --install` puts where, below any prefix; and, for the package only, what goes to /etc. No
# program of ours needs the build tree.
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME sluice)
set(pages_dir ${CMAKE_BINARY_DIR}/pages)
file(MAKE_DIRECTORY ${pages_dir})

# sluice_page(<file> <program> <kind> DESTINATION <directory>): what the program prints of itself. A
# manual page is compressed.
function(sluice_page file program kind)
  cmake_parse_arguments(ARG "" "DESTINATION" "" ${ARGN})
  set(page ${pages_dir}/${file})
  set(compress "")
  if(file MATCHES "\\.gz$")
    set(compress | gzip -9n)
  endif()
  add_custom_command(OUTPUT ${page} DEPENDS ${program}
                     COMMAND ${program} --print-docs ${kind} ${compress} > ${page})
  set_property(GLOBAL APPEND PROPERTY sluice_pages ${page})
  install(FILES ${page} DESTINATION ${ARG_DESTINATION})
endfunction()

install(TARGETS sluice sluice-loadtest DESTINATION bin)
install(TARGETS sluice_broker_plugin DESTINATION lib/sluice)

set(completions share/bash-completion/completions)
sluice_page(sluice.1.gz sluice man DESTINATION share/man/man1)
sluice_page(sluice.env.5.gz sluice settings-man DESTINATION share/man/man5)
sluice_page(sluice-loadtest.1.gz sluice-loadtest man DESTINATION share/man/man1)
sluice_page(sluice sluice bash DESTINATION ${completions})
sluice_page(sluice-loadtest sluice-loadtest bash DESTINATION ${completions})
sluice_page(_sluice sluice zsh DESTINATION share/zsh/vendor-completions)
sluice_page(_sluice-loadtest sluice-loadtest zsh DESTINATION share/zsh/vendor-completions)
sluice_page(sluice.env sluice environment DESTINATION share/sluice)

# What only the broker's image needs stays out.
install(DIRECTORY deploy/grafana deploy/mosquitto deploy/postgres deploy/prometheus
        DESTINATION share/sluice
        PATTERN deploy/mosquitto/container.conf EXCLUDE
        PATTERN deploy/mosquitto/start EXCLUDE
        PATTERN deploy/mosquitto/healthy EXCLUDE)
install(PROGRAMS deploy/test_mtls_device.sh DESTINATION share/sluice)
install(FILES deploy/systemd/crl.env DESTINATION share/sluice)
install(DIRECTORY docs DESTINATION share/doc/sluice)
install(FILES README.md CHANGELOG.md deploy/debian/copyright DESTINATION share/doc/sluice)

set(units deploy/systemd/sluice.service deploy/systemd/sluice-crl.service)
install(FILES ${units} DESTINATION lib/systemd/system)
install(FILES deploy/systemd/sysusers.conf DESTINATION lib/sysusers.d RENAME sluice.conf)
install(FILES deploy/systemd/tmpfiles.conf DESTINATION lib/tmpfiles.d RENAME sluice.conf)

# These name our files below /usr. Not run for the package, which is built elsewhere and stands there.
install(CODE [[
  foreach(file lib/systemd/system/sluice.service lib/systemd/system/sluice-crl.service
               share/sluice/mosquitto/listeners.conf)
    set(path $ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}/${file})
    file(READ ${path} text)
    string(REPLACE /usr/bin/sluice ${CMAKE_INSTALL_PREFIX}/bin/sluice text "${text}")
    string(REPLACE /usr/lib/sluice ${CMAKE_INSTALL_PREFIX}/lib/sluice text "${text}")
    file(WRITE ${path} "${text}")
  endforeach()
]] COMPONENT prefix)

# /etc is nobody's prefix.
install(FILES ${pages_dir}/sluice.env DESTINATION etc/sluice
        PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ COMPONENT etc EXCLUDE_FROM_ALL)
install(FILES deploy/systemd/crl.env DESTINATION etc/sluice
        PERMISSIONS OWNER_READ OWNER_WRITE COMPONENT etc EXCLUDE_FROM_ALL)

set(changelog ${pages_dir}/changelog.gz)
add_custom_command(OUTPUT ${changelog} DEPENDS deploy/debian/changelog
                   COMMAND gzip -9nc ${PROJECT_SOURCE_DIR}/deploy/debian/changelog > ${changelog})
install(FILES ${changelog} DESTINATION usr/share/doc/sluice COMPONENT etc EXCLUDE_FROM_ALL)

get_property(pages GLOBAL PROPERTY sluice_pages)
add_custom_target(sluice_pages ALL DEPENDS ${pages} ${changelog})
