# METADATA
# title: Images from allowed registries only
# description: |
#   Refuses images that are under none of the parameter registries: hosts, or hosts with a path, as in
#   registry.example.com/team. An image without a host is Docker Hub's: nginx is docker.io/library/nginx. The
#   default allows nothing.
# custom:
#   type: validate
#   action: deny
#   match:
#     groups: ["", apps, batch]
#     kinds: [Pod, PodTemplate, ReplicationController, ReplicaSet, Deployment, StatefulSet, DaemonSet, Job, CronJob]
#     subresources: ["", ephemeralcontainers, resize]
#   parameters:
#     registries: []
package gatehouse.policy.allowed_registries

import data.gatehouse.lib.pods

deny contains {"msg": sprintf("%s: image %q is not from an allowed registry", [i.label, i.image]), "field": i.field} if {
	pods.changed
	some i in pods.images
	not allowed(canonical(i.image))
}

# The slash keeps registry.example.com from allowing registry.example.com.evil.test.
allowed(image) if {
	some registry in input.parameters.registries
	startswith(image, sprintf("%s/", [trim_suffix(registry, "/")]))
}

canonical(image) := image if is_host(split(image, "/"))

else := sprintf("docker.io/%s", [image]) if contains(image, "/")

else := sprintf("docker.io/library/%s", [image])

# The first part of a reference is a host if it could not be part of a Docker Hub path.
is_host(parts) if {
	count(parts) > 1
	contains(parts[0], ".")
}

is_host(parts) if {
	count(parts) > 1
	contains(parts[0], ":")
}

is_host(parts) if {
	count(parts) > 1
	parts[0] == "localhost"
}
