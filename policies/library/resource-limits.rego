# METADATA
# title: Resource limits
# description: |
#   Refuses containers without a limit for each of the parameter resources, unless the pod as a whole has one, and limits
#   above the parameter maximum, as in {memory: 4Gi}. Ephemeral containers cannot have limits and are left out.
# custom:
#   type: validate
#   action: deny
#   match:
#     groups: ["", apps, batch]
#     kinds: [Pod, PodTemplate, ReplicationController, ReplicaSet, Deployment, StatefulSet, DaemonSet, Job, CronJob]
#     subresources: ["", ephemeralcontainers, resize]
#   parameters:
#     resources: [cpu, memory]
#     maximum: {}
package gatehouse.policy.resource_limits

import data.gatehouse.lib.pods

limited := [c | some c in pods.containers; c.list != "ephemeralContainers"]

deny contains {"msg": sprintf("%s: a limit for %s must be set", [pods.label(c), resource]), "field": field} if {
	pods.changed
	some resource in input.parameters.resources
	not has_limit(pods.spec, resource)
	some c in limited
	not has_limit(c.container, resource)
	field := pods.field(c, sprintf("resources.limits.%s", [resource]))
}

deny contains {"msg": sprintf("%s: the limit for %s may be %s at most, not %s", [pods.label(c), resource, most, limit]), "field": field} if {
	pods.changed
	some resource, most in input.parameters.maximum
	some c in limited
	limit := c.container.resources.limits[resource]
	units.parse(limit) > units.parse(most)
	field := pods.field(c, sprintf("resources.limits.%s", [resource]))
}

deny contains {"msg": sprintf("pod: the limit for %s may be %s at most, not %s", [resource, most, limit]), "field": field} if {
	pods.changed
	some resource, most in input.parameters.maximum
	limit := pods.spec.resources.limits[resource]
	units.parse(limit) > units.parse(most)
	field := pods.spec_field(sprintf("resources.limits.%s", [resource]))
}

has_limit(x, resource) if object.get(x, ["resources", "limits", resource], "0") != "0"
