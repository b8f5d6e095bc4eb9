# METADATA
# title: Pod Security Standard, level restricted
# description: |
#   Everything that pod-security-baseline refuses, and pods that do not give up what they do not need: containers must not run as root,
#   must drop all capabilities, must not gain privileges, must have a seccomp profile, and may mount only
#   volumes that hold no part of the host. The rules are those of Kubernetes 1.36.
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
package gatehouse.policy.pod_security_restricted

import data.gatehouse.lib.pods
import data.gatehouse.policy.pod_security_baseline as baseline

deny contains object.union(v, {"action": baseline.action}) if {
	baseline.action != "off"
	pods.changed
	some v in baseline.violations | violations
}

allowed_volumes := {
	"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image",
	"persistentVolumeClaim", "projected", "secret",
}

windows if pods.spec.os.name == "windows"

violations contains {"msg": sprintf("volume %q: its type is not allowed", [object.get(v, "name", "")]), "field": field} if {
	some i, v in pods.spec.volumes
	not allowed_volume(v)
	field := pods.spec_field(sprintf("volumes[%d]", [i]))
}

allowed_volume(v) if {
	some type, source in v
	type in allowed_volumes
	is_object(source)
}

violations contains {"msg": sprintf("%s: allowPrivilegeEscalation must be false", [pods.label(c)]), "field": field} if {
	not windows
	some c in pods.containers
	not c.container.securityContext.allowPrivilegeEscalation == false
	field := pods.field(c, "securityContext.allowPrivilegeEscalation")
}

violations contains {"msg": sprintf("%s: all capabilities must be dropped", [pods.label(c)]), "field": field} if {
	not windows
	some c in pods.containers
	not drops_all(c.container)
	field := pods.field(c, "securityContext.capabilities.drop")
}

drops_all(container) if "ALL" in container.securityContext.capabilities.drop

violations contains {"msg": sprintf("%s: capability %q may not be added", [pods.label(c), name]), "field": field} if {
	not windows
	some c in pods.containers
	some i, name in c.container.securityContext.capabilities.add
	name != "NET_BIND_SERVICE"
	field := pods.field(c, sprintf("securityContext.capabilities.add[%d]", [i]))
}

violations contains {"msg": sprintf("%s: procMount must be Default", [pods.label(c)]), "field": pods.field(c, "securityContext.procMount")} if {
	some c in pods.containers
	c.container.securityContext.procMount != "Default"
}

# Root in a user namespace of the pod's own is not root on the node.
violations contains {"msg": sprintf("%s: runAsNonRoot must be true", [pods.context_label(x)]), "field": pods.context_field(x, "runAsNonRoot")} if {
	some x in pods.contexts
	x.context.runAsNonRoot == false
	not baseline.own_user_namespace
}

violations contains {"msg": sprintf("%s: runAsNonRoot must be true, here or for the pod", [pods.label(c)]), "field": pods.field(c, "securityContext.runAsNonRoot")} if {
	not baseline.own_user_namespace
	not pods.spec.securityContext.runAsNonRoot
	some c in pods.containers
	not is_boolean(object.get(c.container, ["securityContext", "runAsNonRoot"], null))
}

violations contains {"msg": sprintf("%s: runAsUser must not be 0", [pods.context_label(x)]), "field": pods.context_field(x, "runAsUser")} if {
	some x in pods.contexts
	x.context.runAsUser == 0
	not baseline.own_user_namespace
}

violations contains {"msg": sprintf("%s: a seccomp profile must be set, here or for the pod", [pods.label(c)]), "field": field} if {
	not windows
	not pod_profile
	some c in pods.containers
	not is_object(object.get(c.container, ["securityContext", "seccompProfile"], null))
	field := pods.field(c, "securityContext.seccompProfile.type")
}

pod_profile if pods.spec.securityContext.seccompProfile.type in baseline.allowed_profiles
