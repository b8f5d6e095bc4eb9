# METADATA
# title: Pod Security Standard, level baseline
# description: |
#   Refuses pods that use a known way out of their container: host namespaces, paths, ports and
#   processes, privileges, capabilities beyond the default set, weakened AppArmor, SELinux, seccomp or /proc,
#   unsafe sysctls, and probes aimed at another host. The rules are those of Kubernetes 1.36. Objects that make pods are treated as
#   the parameter templates says: deny, warn, audit or off.
# custom:
#   type: validate
#   action: deny
#   match:
#     groups: ["", apps, batch]
#     kinds: [Pod, PodTemplate, ReplicationController, ReplicaSet, Deployment, StatefulSet, DaemonSet, Job, CronJob]
#     operations: [CREATE, UPDATE]
#     # Status and binding leave the spec alone, but can write annotations, and one of those weakens AppArmor.
#     subresources: ["", ephemeralcontainers, resize, status, binding]
#   parameters:
#     templates: warn
package gatehouse.policy.pod_security_baseline

import data.gatehouse.lib.pods

deny contains object.union(v, {"action": action}) if {
	action != "off"
	pods.changed
	some v in violations
}

action := "deny" if input.kind.kind == "Pod"

else := input.parameters.templates

allowed_capabilities := {
	"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
	"NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
}

allowed_sysctls := {
	"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports",
	"net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range", "net.ipv4.tcp_fin_timeout",
	"net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_keepalive_time",
	"net.ipv4.tcp_rmem", "net.ipv4.tcp_syncookies", "net.ipv4.tcp_wmem",
}

allowed_selinux_types := {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}

allowed_profiles := {"RuntimeDefault", "Localhost"}

violations contains shared_with_host("hostNetwork") if pods.spec.hostNetwork == true

violations contains shared_with_host("hostPID") if pods.spec.hostPID == true

violations contains shared_with_host("hostIPC") if pods.spec.hostIPC == true

shared_with_host(name) := {"msg": sprintf("%s must be false", [name]), "field": pods.spec_field(name)}

violations contains {"msg": sprintf("volume %q: hostPath is not allowed", [object.get(v, "name", "")]), "field": field} if {
	some i, v in pods.spec.volumes
	is_object(v.hostPath)
	field := pods.spec_field(sprintf("volumes[%d].hostPath", [i]))
}

violations contains {"msg": sprintf("sysctl %q is not allowed", [name]), "field": field} if {
	some i, s in pods.spec.securityContext.sysctls
	name := object.get(s, "name", "")
	not name in allowed_sysctls
	field := pods.spec_field(sprintf("securityContext.sysctls[%d].name", [i]))
}

violations contains {"msg": sprintf("%s: privileged must be false", [pods.label(c)]), "field": pods.field(c, "securityContext.privileged")} if {
	some c in pods.containers
	c.container.securityContext.privileged == true
}

violations contains {"msg": sprintf("%s: capability %q may not be added", [pods.label(c), name]), "field": field} if {
	some c in pods.containers
	some i, name in c.container.securityContext.capabilities.add
	not name in allowed_capabilities
	field := pods.field(c, sprintf("securityContext.capabilities.add[%d]", [i]))
}

violations contains {"msg": sprintf("%s: host port %v is not allowed", [pods.label(c), p.hostPort]), "field": field} if {
	some c in pods.containers
	some i, p in c.container.ports
	p.hostPort != 0
	field := pods.field(c, sprintf("ports[%d].hostPort", [i]))
}

violations contains {"msg": sprintf("%s: procMount must be Default", [pods.label(c)]), "field": pods.field(c, "securityContext.procMount")} if {
	some c in pods.containers
	c.container.securityContext.procMount != "Default"
	not own_user_namespace
}

own_user_namespace if pods.spec.hostUsers == false

violations contains {"msg": sprintf("%s: a probe or hook may not name a host", [pods.label(c)]), "field": field} if {
	some c in pods.containers
	some probe in ["livenessProbe", "readinessProbe", "startupProbe"]
	handler := c.container[probe]
	some action in ["httpGet", "tcpSocket"]
	handler[action].host != ""
	field := pods.field(c, sprintf("%s.%s.host", [probe, action]))
}

violations contains {"msg": sprintf("%s: a probe or hook may not name a host", [pods.label(c)]), "field": field} if {
	some c in pods.containers
	some hook, handler in c.container.lifecycle
	some action in ["httpGet", "tcpSocket"]
	handler[action].host != ""
	field := pods.field(c, sprintf("lifecycle.%s.%s.host", [hook, action]))
}

violations contains {"msg": sprintf("%s: hostProcess must be false", [pods.context_label(x)]), "field": pods.context_field(x, "windowsOptions.hostProcess")} if {
	some x in pods.contexts
	x.context.windowsOptions.hostProcess == true
}

violations contains {"msg": sprintf("%s: seccomp profile must be RuntimeDefault or Localhost", [pods.context_label(x)]), "field": pods.context_field(x, "seccompProfile.type")} if {
	some x in pods.contexts
	is_object(x.context.seccompProfile)
	not object.get(x.context.seccompProfile, "type", "") in allowed_profiles
}

violations contains {"msg": sprintf("%s: AppArmor profile must be RuntimeDefault or Localhost", [pods.context_label(x)]), "field": pods.context_field(x, "appArmorProfile.type")} if {
	some x in pods.contexts
	is_object(x.context.appArmorProfile)
	not object.get(x.context.appArmorProfile, "type", "") in allowed_profiles
}

violations contains {"msg": sprintf("AppArmor profile must be runtime/default or localhost/*, not %q", [value]), "field": field} if {
	some name, value in pods.annotations(pods.template)
	startswith(name, "container.apparmor.security.beta.kubernetes.io/")
	not value in {"", "runtime/default"}
	not startswith(value, "localhost/")
	field := sprintf("%smetadata.annotations[%s]", [pods.prefix, name])
}

violations contains {"msg": sprintf("%s: SELinux type %q is not allowed", [pods.context_label(x), type]), "field": pods.context_field(x, "seLinuxOptions.type")} if {
	some x in pods.contexts
	type := x.context.seLinuxOptions.type
	not type in allowed_selinux_types
}

violations contains {"msg": sprintf("%s: SELinux %s may not be set", [pods.context_label(x), name]), "field": pods.context_field(x, sprintf("seLinuxOptions.%s", [name]))} if {
	some x in pods.contexts
	options := x.context.seLinuxOptions
	some name in ["user", "role"]
	options[name] != ""
}
