"""Infrastructure of papercopy: CloudFormation, deployment, and the local production topology."""
