# METADATA
# title: Add labels
# description: |
#   Adds the labels of the parameter labels to new pods and workloads that do not have them; a value that is there stays.
# custom:
#   type: mutate
#   match:
#     groups: ["", apps, batch]
#     kinds: [Pod, Deployment, StatefulSet, DaemonSet, Job, CronJob]
#     operations: [CREATE]
#     subresources: [""]
#   parameters:
#     labels: {}
package gatehouse.policy.add_labels

has_labels if is_object(input.object.metadata.labels)

patch contains {"op": "add", "path": "/metadata/labels", "value": {}} if {
	count(input.parameters.labels) > 0
	not has_labels
}

patch contains {"op": "add", "path": sprintf("/metadata/labels/%s", [escape(name)]), "value": value} if {
	some name, value in input.parameters.labels
	not has_label(name)
}

has_label(name) if is_string(input.object.metadata.labels[name])

# JSON pointers write ~ as ~0 and / as ~1.
escape(name) := replace(replace(name, "~", "~0"), "/", "~1")
