# METADATA
# title: Required labels
# description: |
#   Refuses workloads without the labels of the parameter labels, whose values are patterns that the label's whole value
#   must match; an empty pattern takes any value.
# custom:
#   type: validate
#   action: deny
#   match:
#     groups: [apps, batch]
#     kinds: [Deployment, StatefulSet, DaemonSet, CronJob]
#     subresources: [""]
#   parameters:
#     labels:
#       app.kubernetes.io/name: ""
package gatehouse.policy.required_labels

labels(object_or_null) := {} if object_or_null == null

else := object.get(object_or_null, ["metadata", "labels"], {})

# An update that leaves the labels alone stays possible on objects that are older than the policy.
changed if input.operation != "UPDATE"

changed if labels(input.object) != labels(input.oldObject)

deny contains {"msg": sprintf("label %q must be set", [name]), "field": sprintf("metadata.labels[%s]", [name])} if {
	changed
	some name, _ in input.parameters.labels
	object.get(labels(input.object), name, "") == ""
}

deny contains {"msg": sprintf("label %q must match %s, it is %q", [name, pattern, value]), "field": sprintf("metadata.labels[%s]", [name])} if {
	changed
	some name, pattern in input.parameters.labels
	pattern != ""
	value := labels(input.object)[name]
	value != ""
	not regex.match(sprintf("^(?:%s)$", [pattern]), value)
}
