# METADATA
# title: No moving image tags
# description: |
#   Refuses images without a tag or digest, and the tag latest: what runs would depend on when it was pulled.
# custom:
#   type: validate
#   action: deny
#   match:
#     groups: ["", apps, batch]
#     kinds: [Pod, PodTemplate, ReplicationController, ReplicaSet, Deployment, StatefulSet, DaemonSet, Job, CronJob]
#     subresources: ["", ephemeralcontainers, resize]
package gatehouse.policy.no_latest_tag

import data.gatehouse.lib.pods

deny contains {"msg": sprintf("%s: image %q must have a tag other than latest, or a digest", [i.label, i.image]), "field": i.field} if {
	pods.changed
	some i in pods.images
	not pinned(i.image)
}

pinned(image) if contains(image, "@")

pinned(image) if {
	path := split(image, "/")
	name := split(path[count(path) - 1], ":")
	count(name) == 2
	not name[1] in {"", "latest"}
}
